internal import Booking
internal import JSONText
internal import PMS
internal import Postgres
internal import Server
internal import Stay

/// What is written down whenever something is done to a booking, in the transaction that does it: the event that others are
/// told, a line in the audit log, and whether the PMS agrees.
struct BookingJournal {
    /// What was done, as the audit log calls it.
    enum Action: String {
        case create, update, confirm, cancel, expire
        /// The front desk did it in the PMS; it was seen and noted.
        case frontDesk = "front_desk"
        /// A room was taken twice: the booking has another one now, has none of its own, or has again.
        case move, conflict, settle
    }

    let action: Action
    /// Who did it: a client's key, or one of the two below.
    var actor: String
    /// The request that asked for it, if one did.
    var requestID: RequestID?
    /// What was asked for, without what says who the guest is.
    var request: [UInt8]?

    /// Nobody asked for it but the clock.
    static let drawbridge = "drawbridge"
    static let frontDesk = "front desk"

    /// - Parameter booking: as it stands then.
    func entries(_ event: BookingEvent.Kind, _ booking: Booking) -> [Query<Void>] {
        [
            BookingStatements.insertEvent(
                .timeOrdered(), event.rawValue, booking.hotel, booking.id.description, booking.version,
                String(decoding: BookingEvent.json(event, booking), as: UTF8.self)),
            BookingStatements.insertAudit(
                booking.hotel, action.rawValue, booking.id.description, request.map { JSON($0) },
                JSON(Self.result(booking)), "success", nil, requestID?.description, actor),
        ]
    }

    /// What was asked for and not done; nothing has changed then.
    ///
    /// - Parameter problem: the answer, which says nothing about the guest.
    func refusal(_ problem: Problem, _ content: [UInt8], hotel: Int32, booking: BookingID?) -> Query<Void> {
        BookingStatements.insertAudit(
            hotel, action.rawValue, booking?.description, request.map { JSON($0) }, JSON(content), "refused",
            problem.type, requestID?.description, actor)
    }

    private static func result(_ booking: Booking) -> [UInt8] {
        var json = JSONWriter(capacity: 128)
        json.object { json in
            json.member("status", booking.status.rawValue)
            json.member("version", Int(booking.version))
            json.object("total") { json in
                json.member("amount", Int(booking.total.minorUnits))
                json.member("currency", booking.total.currency.code)
            }
            if let fee = booking.cancellationFee { json.member("cancellation_fee", Int(fee.minorUnits)) }
        }
        return json.bytes
    }
}

// MARK: - What was asked for, masked

/// The audit log is kept for more than a year and read by people who look for what happened, not for whom: who the guest is
/// stands in the PMS, where it is corrected and deleted. So of the guest, and of remarks, where anything may stand, it says
/// only that they were given.
private let mask = "***"

extension BookingRequest {
    /// Without what says who the guest is.
    var masked: [UInt8] {
        var json = JSONWriter()
        json.object { json in
            json.member("booking_engine_id", engineID)
            json.member("check_in", stay.arrival.description)
            json.member("check_out", stay.departure.description)
            json.array("rooms", rooms) { json, room in room.write(to: &json) }
            guest.writeMasked(to: &json)
            expectedTotal.write(to: &json)
            json.member("payment_timing", paymentTiming.rawValue)
            if comment != nil { json.member("comment", mask) }
            if let holdMinutes { json.member("hold_minutes", Int(holdMinutes)) }
        }
        return json.bytes
    }
}

extension BookingChange {
    /// Without what says who the guest is.
    var masked: [UInt8] {
        var json = JSONWriter()
        json.object { json in
            if let arrangement {
                json.member("check_in", arrangement.stay.arrival.description)
                json.member("check_out", arrangement.stay.departure.description)
                json.array("rooms", arrangement.rooms) { json, room in room.write(to: &json) }
            }
            guest?.writeMasked(to: &json)
            expectedTotal.write(to: &json)
            if let paymentTiming { json.member("payment_timing", paymentTiming.rawValue) }
            if comment != nil { json.member("comment", mask) }
            if confirms { json.member("status", Booking.Status.confirmed.rawValue) }
        }
        return json.bytes
    }
}

extension BookingRequest.Room {
    fileprivate func write(to json: inout JSONWriter) {
        json.object { json in
            json.member("room_type_id", Int(type))
            json.member("guests", Int(guests))
            json.member("plan_key", plan.description)
        }
    }
}

extension Guest {
    fileprivate func writeMasked(to json: inout JSONWriter) {
        json.object("guest") { json in
            json.member("name", mask)
            if nameKana != nil { json.member("name_kana", mask) }
            if email != nil { json.member("email", mask) }
            if phone != nil { json.member("phone", mask) }
        }
    }
}

extension Money? {
    fileprivate func write(to json: inout JSONWriter) {
        guard let self else { return }
        json.object("expected_total") { json in
            json.member("amount", Int(self.minorUnits))
            json.member("currency", self.currency.code)
        }
    }
}
