/// A booking that is taken while the PMS cannot be reached, until both agree about it: what becomes of it, and what is to be
/// done in the PMS. The bridge asks it when one is settled; what is done to one meanwhile goes the way of any booking's commands,
/// which keep to the second table.
///
/// The rooms of a booking that is `pending` or has `failed` count as taken, so that those who book meanwhile do not get them
/// again. On the PMS's return each is settled by what is found there under the hotel's lock, in the order of taking:
///
/// | found | active, `pending` | ended, `pending` |
/// |---|---|---|
/// | its reservation | `synced`, as the front desk says | `synced`; the reservation is cancelled |
/// | none, and rooms for it | `synced`; it is written | `synced` |
/// | none, and no room, or its plan is gone | `conflict` | `synced` |
///
/// A hold whose time is over when it is settled has expired. What it costs was agreed when it was taken, and stays.
///
/// | done to it | `pending` | `failed` | `conflict` |
/// |---|---|---|---|
/// | its client cancels it, or its time as a hold is over | stays: an attempt may have written it | `pending` | `synced`: the PMS has none |
/// | its client gives it other dates or rooms | stays | `pending` | `pending` |
/// | no attempt is left | `failed` | – | – |
/// | somebody lets it be tried again | – | `pending` | `pending` |
///
/// "–" does nothing. What is `synced` is no pending booking any more: `BookingLife` alone says what becomes of it.
public struct PendingBooking: Hashable, Sendable {
    public let life: BookingLife
    public let sync: SyncState.Status

    /// As it was stored.
    public init(life: BookingLife, sync: SyncState.Status) {
        self.life = life
        self.sync = sync
    }

    /// One is taken.
    ///
    /// - Parameter holdExpiresAt: nil for one that is confirmed at once.
    public static func taken(holdExpiresAt: Instant?) -> Step {
        let step = BookingLife.created(holdExpiresAt: holdExpiresAt)
        return Step(booking: PendingBooking(life: step.life, sync: .pending), work: .nothing, event: step.event)
    }

    /// Whether rooms are counted for it.
    public var takesRooms: Bool { isActive && (sync == .pending || sync == .failed) }

    /// What the PMS says of it.
    public enum Finding: Hashable, Sendable {
        /// It has its reservation: an attempt took effect of which nobody heard.
        case there(ReservationStatus)
        /// It has none, and rooms for it.
        case possible
        /// It has none, and no rooms for it, or does not sell it any more.
        case impossible
    }

    /// What is done to it.
    public enum Command: Hashable, Sendable {
        case cancel, expire, change
        case settle(Finding)
        /// It has been tried as often as it is tried.
        case giveUp
        /// Somebody lets it be tried again.
        case retry
    }

    /// What is to be done in the PMS, in the transaction that writes the step down.
    public enum Work: Hashable, Sendable {
        case nothing
        /// The reservation is made.
        case write
        /// The reservation that is there is cancelled.
        case cancel
    }

    /// What a command came to.
    public struct Step: Hashable, Sendable {
        public let booking: PendingBooking
        public let work: Work
        /// What others are to be told; nil if its version is as it was.
        public let event: BookingEvent.Kind?
    }

    /// What a command makes of it.
    ///
    /// - Throws: as `BookingLife`: it has ended, or is no hold whose time is over.
    public func after(_ command: Command, at now: Instant) throws(BookingLife.Refusal) -> Step {
        guard sync != .synced else { return unchanged }
        switch command {
        case .cancel: return ended(by: try life.after(.cancel, at: now))
        case .expire: return ended(by: try life.after(.expire, at: now))
        case .change: return step(try life.after(.change, at: now), .pending)
        case .settle(let finding): return sync == .pending ? try settled(finding, at: now) : unchanged
        case .giveUp:
            // Nobody waits for the end of one that its client has given up.
            guard sync == .pending else { return unchanged }
            return Step(booking: PendingBooking(life: life, sync: .failed), work: .nothing, event: nil)
        case .retry:
            guard sync == .failed || sync == .conflict && isActive else { return unchanged }
            return Step(booking: PendingBooking(life: life, sync: .pending), work: .nothing, event: nil)
        }
    }

    private func settled(_ finding: Finding, at now: Instant) throws(BookingLife.Refusal) -> Step {
        var (life, event): (BookingLife, BookingEvent.Kind?) = (life, nil)
        if let expired = try? life.after(.expire, at: now) { (life, event) = (expired.life, expired.event) }
        let now = PendingBooking(life: life, sync: .pending)
        guard now.isActive else {
            let isThere =
                switch finding {
                case .there(.hold), .there(.confirmed), .there(.checkedIn), .there(.checkedOut): true
                case .there(.cancelled), .possible, .impossible: false
                }
            return Step(
                booking: PendingBooking(life: life, sync: .synced), work: isThere ? .cancel : .nothing, event: event)
        }
        switch finding {
        case .there(let reservation):
            let step = life.afterFrontDesk(reservation)
            return self.step(step.event == nil ? now.touched : step, .synced)
        case .possible: return step(now.touched, .synced, .write)
        case .impossible:
            return Step(
                booking: PendingBooking(life: now.touched.life, sync: .conflict), work: .nothing, event: .conflict)
        }
    }

    /// It has ended by its client or by the clock.
    private func ended(by step: BookingLife.Step) -> Step {
        guard step.event != nil else { return unchanged }
        return self.step(step, sync == .conflict ? .synced : .pending)
    }

    private func step(_ step: BookingLife.Step, _ sync: SyncState.Status, _ work: Work = .nothing) -> Step {
        Step(booking: PendingBooking(life: step.life, sync: sync), work: work, event: step.event)
    }

    private var isActive: Bool { life.status == .hold || life.status == .confirmed }

    /// The next version, in which nothing but what the PMS has of it is different.
    private var touched: BookingLife.Step {
        BookingLife.Step(
            life: BookingLife(status: life.status, version: life.version + 1, holdExpiresAt: life.holdExpiresAt),
            event: .updated)
    }

    private var unchanged: Step { Step(booking: self, work: .nothing, event: nil) }
}
