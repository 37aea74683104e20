public import JSONText
public import Stay

/// A booking as clients see it.
public struct Booking: Hashable, Sendable {
    /// Where a booking stands.
    public enum Status: String, Sendable, CaseIterable {
        /// The rooms are held until `holdExpiresAt`.
        case hold
        case confirmed
        case cancelled
        /// A hold that was not confirmed in time.
        case expired
    }

    /// The id of the booking, which is the reservation's in the PMS.
    public var id: BookingID
    /// The booking's id at the booking engine.
    public var engineID: String
    /// The hotel's id in the PMS.
    public var hotel: Int32
    /// Where it stands.
    public var status: Status
    /// The nights.
    public var stay: Stay
    /// The rooms, in the order in which they were asked for.
    public var rooms: [BookedRoom]
    /// Who stays.
    public var guest: Guest
    /// What everything costs.
    public var total: Money
    /// Whether booking engine and PMS agree about it.
    public var sync: SyncState
    /// Counts the changes, from 1; the entity tag is made from it.
    public var version: Int32
    /// When it was made.
    public var createdAt: Instant
    /// When it last changed.
    public var updatedAt: Instant
    /// When a hold ends by itself.
    public var holdExpiresAt: Instant?
    /// When it was cancelled.
    public var cancelledAt: Instant?
    /// What cancelling it costs; nil unless its client has cancelled it.
    public var cancellationFee: Money?
    /// Whether the guest has come, or has left, by what the front desk says; nil before, and where the booking has ended.
    public var guestStatus: GuestStatus?

    /// Where the guest is.
    public enum GuestStatus: String, Sendable, CaseIterable {
        case checkedIn = "checked_in"
        case checkedOut = "checked_out"
    }

    /// A booking.
    public init(
        id: BookingID, engineID: String, hotel: Int32, status: Status, stay: Stay, rooms: [BookedRoom], guest: Guest,
        total: Money, sync: SyncState, version: Int32, createdAt: Instant, updatedAt: Instant,
        holdExpiresAt: Instant? = nil, cancelledAt: Instant? = nil, cancellationFee: Money? = nil
    ) {
        self.id = id
        self.engineID = engineID
        self.hotel = hotel
        self.status = status
        self.stay = stay
        self.rooms = rooms
        self.guest = guest
        self.total = total
        self.sync = sync
        self.version = version
        self.createdAt = createdAt
        self.updatedAt = updatedAt
        self.holdExpiresAt = holdExpiresAt
        self.cancelledAt = cancelledAt
        self.cancellationFee = cancellationFee
    }
}

/// Whether the booking engine and the PMS agree about a booking.
public struct SyncState: Hashable, Sendable {
    /// How far they agree.
    public enum Status: String, Sendable, CaseIterable {
        case pending
        case synced
        case failed
        case conflict
    }

    /// How far they agree.
    public var status: Status
    /// When it was last tried.
    public var lastAttempt: Instant?
    /// Why it failed, in words fit for the client.
    public var error: String?

    /// A state.
    public init(status: Status, lastAttempt: Instant? = nil, error: String? = nil) {
        self.status = status
        self.lastAttempt = lastAttempt
        self.error = error
    }
}

// MARK: - JSON, as the contract has it

extension Booking {
    /// Appends the booking as a JSON object: money in minor units, days as YYYY-MM-DD, instants as RFC 3339 in UTC.
    public func appendJSON(to bytes: inout [UInt8]) {
        var json = JSONWriter()
        write(to: &json)
        bytes += json.bytes
    }

    /// Writes the booking as a JSON object.
    public func write(to json: inout JSONWriter) { json.object { writeMembers(to: &$0) } }

    /// Writes its members into a JSON object that was begun.
    func writeMembers(to json: inout JSONWriter) {
        json.member("booking_id", id.description)
        json.member("booking_engine_id", engineID)
        json.member("hotel_id", Int(hotel))
        json.member("status", status.rawValue)
        json.member("check_in") { stay.arrival.append(to: &$0) }
        json.member("check_out") { stay.departure.append(to: &$0) }
        json.array("rooms", rooms) { json, room in room.write(to: &json) }
        json.object("guest") { json in
            json.member("name", guest.name)
            json.member("name_kana", guest.nameKana)
            json.member("email", guest.email)
            json.member("phone", guest.phone)
        }
        json.object("total") { total.write(to: &$0) }
        json.object("sync") { json in
            json.member("status", sync.status.rawValue)
            json.member("last_attempt", sync.lastAttempt?.description)
            json.member("error", sync.error)
        }
        json.member("version", Int(version))
        json.member("created_at", createdAt.description)
        json.member("updated_at", updatedAt.description)
        if let holdExpiresAt { json.member("hold_expires_at", holdExpiresAt.description) }
        if let cancelledAt { json.member("cancelled_at", cancelledAt.description) }
        if let cancellationFee { json.object("cancellation_fee") { cancellationFee.write(to: &$0) } }
        if let guestStatus { json.member("guest_status", guestStatus.rawValue) }
    }
}

extension Money {
    fileprivate func write(to json: inout JSONWriter) {
        json.member("amount", Int(minorUnits))
        json.member("currency", currency.code)
    }
}

extension BookedRoom {
    fileprivate func write(to json: inout JSONWriter) {
        json.object { json in
            json.member("room_type_id", Int(type))
            json.member("room_number", number)
            json.member("guests", Int(guests))
            json.member("plan_key", plan?.description)
            json.array("nights", nights) { json, night in
                json.object { json in
                    json.member("date") { night.night.append(to: &$0) }
                    json.member("price", night.price.map { Int($0) })
                }
            }
        }
    }
}
