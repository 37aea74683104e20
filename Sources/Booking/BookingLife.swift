/// Where a booking stands in its life, and what may become of it: the one place that says which command is possible when.
///
/// | command | `hold`, in time | `hold`, over | `confirmed` | `cancelled` | `expired` |
/// |---|---|---|---|---|---|
/// | change | `hold` | – | `confirmed` | – | – |
/// | confirm | `confirmed` | – | nothing | – | – |
/// | cancel | `cancelled` | `cancelled` | `cancelled` | nothing | – |
/// | expire | – | `expired` | – | – | – |
/// | front desk confirms | `confirmed` | `confirmed` | nothing | nothing | nothing |
/// | front desk cancels | `cancelled` | `cancelled` | `cancelled` | nothing | nothing |
/// | front desk changes something else | `hold` | `hold` | `confirmed` | nothing | nothing |
/// | move to another room, conflict, end of one | `hold` | `hold` | `confirmed` | – | – |
///
/// "–" is refused. What does something counts the version up by one and makes one event, so that each version of a booking
/// has exactly one.
public struct BookingLife: Hashable, Sendable {
    /// Where it stands.
    public let status: Booking.Status
    /// Counts what was done to it, from 1.
    public let version: Int32
    /// When a hold is over; stays with what was a hold.
    public let holdExpiresAt: Instant?

    /// A booking's life as it was stored.
    public init(status: Booking.Status, version: Int32, holdExpiresAt: Instant?) {
        self.status = status
        self.version = version
        self.holdExpiresAt = holdExpiresAt
    }

    /// What is done to a booking that there is.
    public enum Command: Hashable, Sendable {
        /// Its client gives it other dates, rooms, guests or remarks.
        case change
        /// Its client takes the rooms that were held.
        case confirm
        /// Its client gives the rooms back.
        case cancel
        /// The time of a hold is over.
        case expire
        /// The reservation in the PMS is found to stand so.
        case frontDesk(ReservationStatus)
        /// A room of it is taken twice, and it gets another one.
        case move
        /// A room of it is taken twice, and there is no other.
        case conflict
        /// Its rooms are its own again.
        case settle
    }

    /// Why a command is not possible.
    public enum Refusal: Error, Hashable, Sendable {
        /// The booking has ended so. A hold whose time is over counts as expired, whoever sees it first.
        case ended(Booking.Status)
        /// It is no hold, or its time is not over.
        case notDue
    }

    /// What a command came to.
    public struct Step: Hashable, Sendable {
        /// The life after it.
        public let life: BookingLife
        /// What others are to be told; nil if nothing was done.
        public let event: BookingEvent.Kind?
    }

    /// A booking is made.
    ///
    /// - Parameter holdExpiresAt: nil for one that is confirmed at once.
    public static func created(holdExpiresAt: Instant?) -> Step {
        let status = holdExpiresAt == nil ? Booking.Status.confirmed : .hold
        return Step(life: BookingLife(status: status, version: 1, holdExpiresAt: holdExpiresAt), event: .created)
    }

    /// What a command makes of it.
    public func after(_ command: Command, at now: Instant) throws(Refusal) -> Step {
        switch command {
        case .change:
            try requireActive(at: now)
            return step(to: status, .updated)
        case .confirm:
            try requireActive(at: now)
            return status == .hold ? step(to: .confirmed, .updated) : unchanged
        case .cancel:
            if status == .expired { throw .ended(.expired) }
            return status == .cancelled ? unchanged : step(to: .cancelled, .cancelled)
        case .expire:
            guard status == .hold, isHoldOver(at: now) else { throw .notDue }
            return step(to: .expired, .cancelled)
        case .frontDesk(let reservation): return afterFrontDesk(reservation)
        case .move, .conflict, .settle:
            guard isActive else { throw .ended(status) }
            return step(to: status, command == .conflict ? .conflict : .updated)
        }
    }

    /// Whether it takes rooms.
    public var isActive: Bool { status == .hold || status == .confirmed }

    /// What it becomes when the reservation in the PMS is found to stand so; that is always possible.
    ///
    /// - Parameter isChanged: whether something else about the reservation is other than others were told.
    public func afterFrontDesk(_ reservation: ReservationStatus, isChanged: Bool = false) -> Step {
        guard isActive else { return unchanged }
        return switch reservation {
        case .cancelled: step(to: .cancelled, .cancelled)
        case .confirmed, .checkedIn, .checkedOut:
            if status == .hold {
                step(to: .confirmed, .updated)
            } else {
                isChanged ? step(to: status, .updated) : unchanged
            }
        case .hold: isChanged ? step(to: status, .updated) : unchanged
        }
    }

    private func requireActive(at now: Instant) throws(Refusal) {
        switch status {
        case .hold: if isHoldOver(at: now) { throw .ended(.expired) }
        case .confirmed: break
        case .cancelled, .expired: throw .ended(status)
        }
    }

    private func isHoldOver(at now: Instant) -> Bool { holdExpiresAt.map { $0 <= now } ?? true }

    private var unchanged: Step { Step(life: self, event: nil) }

    private func step(to status: Booking.Status, _ event: BookingEvent.Kind) -> Step {
        Step(life: BookingLife(status: status, version: version + 1, holdExpiresAt: holdExpiresAt), event: event)
    }
}

/// Where a reservation stands at the front desk, as far as it matters to whoever booked.
public enum ReservationStatus: Hashable, Sendable, CaseIterable {
    case hold
    /// The front desk counts on the guest.
    case confirmed
    /// The guest has come.
    case checkedIn
    /// The guest has been there.
    case checkedOut
    /// Cancelled, or gone altogether.
    case cancelled

    /// Whether the guest has come, or has been there.
    public var hasCome: Bool { self == .checkedIn || self == .checkedOut }
}
