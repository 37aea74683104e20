public import Loop
public import Stay

/// A PMS that says what changes at its front desk. No adapter does so yet.
///
/// Changes come at least once and each is to be taken for a hint: what it is about is read anew.
@OnLoop
public protocol PMSChangeFeed: PMSAdapter {
    /// Up to where changes have been dealt with, in words that only the adapter understands and that can be stored.
    associatedtype ResumePoint: Sendable, Codable

    /// The changes in the order in which they became known, each with the point from which to go on after it.
    associatedtype Changes: AsyncSequence where Changes.Element == (change: PMSChange, resumeAt: ResumePoint)

    /// The changes after a point; from now on where there is none.
    func changes(after point: ResumePoint?) -> Changes
}

/// A change at the front desk.
public enum PMSChange: Hashable, Sendable {
    /// A reservation was made, changed or cancelled, or one of its nights; by the PMS's own name for it.
    case reservation(hotel: Int32, id: String)
    /// Something was changed that shows in availability on these nights; all nights where it is not known which.
    case availability(hotel: Int32, nights: Range<Day>?)
    /// Changes may have been missed: everything is to be read anew.
    case gap
}
