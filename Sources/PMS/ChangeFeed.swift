public import Loop
public import Stay

/// A PMS that says what changes at its front desk.
///
/// Changes are hints: they say where to look, come at least once, late or twice, and tell of our own bookings as well.
@OnLoop
public protocol PMSChangeFeed: PMSAdapter {
    /// Up to where changes have been read.
    associatedtype Position: Sendable

    /// Where to begin for somebody who then reads the state that is changed: nothing that comes later is passed over.
    func startOfChanges() async throws -> Position

    /// The changes since a position.
    func changes(after position: Position) async throws -> ChangePage<Position>

    /// How often rooms of a hotel are taken on some nights now, and how many nights there have no room.
    ///
    /// - Returns: nothing for what is not taken.
    func takenCounts(of hotel: Int32, rooms: [Int32], nights: [Day]) async throws -> [NightCount]
}

/// Changes that became known together.
public struct ChangePage<Position: Sendable>: Sendable {
    /// From where to go on.
    public let next: Position
    /// How many entries of the PMS's own log they are made of.
    public let entryCount: Int
    public let nights: [NightChange]
    /// Hotels of which something could not be understood: anything may have changed there. Nil: in any hotel.
    public let doubtful: Set<Int32?>
    /// Whether these are all that there were.
    public let isComplete: Bool
    /// Whether the PMS's log goes on from the position. Where it does not (it was restored, or emptied), what has changed
    /// since is not known, and one begins anew.
    public let isContinued: Bool
}

/// A change of a night: where the night was and where it is now.
///
/// By the time it is read, more may have changed.
public struct NightChange: Sendable, Equatable {
    /// Where a night was or is.
    public struct Place: Sendable, Hashable {
        /// Nil where the front desk has assigned none.
        public let room: Int32?
        /// Nil for a date beyond the calendar.
        public let night: Day?
    }

    public let hotel: Int32
    /// One, or two where the night was moved.
    public let places: Set<Place>
}

/// How often a room, or no room in particular, is taken on a night.
public struct NightCount: Sendable {
    public let room: Int32?
    public let night: Day
    public let count: Int32
}
