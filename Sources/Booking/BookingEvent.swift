internal import JSONText

/// What others are told about a booking.
public enum BookingEvent {
    /// What happened, by its name in the contract.
    public enum Kind: String, Sendable, CaseIterable {
        case created = "booking.created"
        /// Also when a hold is confirmed, by its client or at the front desk.
        case updated = "booking.updated"
        /// However it ended: `status` says whether it was cancelled or ran out.
        case cancelled = "booking.cancelled"
        /// The PMS has no room for it, or has given its room to somebody else and has no other; `sync` says so.
        case conflict = "booking.conflict"
    }

    /// The event as subscribers get it: `{"type","timestamp","data"}`, where `data` is the booking.
    ///
    /// - Parameter booking: as it stands after what happened, which was at its `updatedAt`.
    public static func json(_ kind: Kind, _ booking: Booking) -> [UInt8] {
        var json = JSONWriter(capacity: 1024)
        json.object { json in
            json.member("type", kind.rawValue)
            json.member("timestamp", booking.updatedAt.description)
            json.object("data") { booking.writeMembers(to: &$0) }
        }
        return json.bytes
    }
}
