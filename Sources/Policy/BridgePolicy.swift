public import Webhook

/// How the bridge books: `Policies/bridge.yaml`.
public struct BridgePolicy: Sendable, Equatable {
    /// The databases, as far as they are policy; where they are comes from `DATABASE_URL` and `PMS_DATABASE_URL`.
    public var database: Database
    /// For which stays rooms are offered.
    public var availability: Availability
    /// What holds for hotels without an entry of their own.
    public var hotelDefaults: Hotel
    /// Hotels for which something else holds, by hotel id.
    public var hotels: [Int32: Hotel]
    /// What the bridge's own writes look like in the PMS.
    public var writer: PMSWriter
    /// What happens to writes into the PMS that fail.
    public var pmsWrites: PMSWrites
    /// How webhooks are delivered.
    public var webhooks: DeliveryPolicy
    /// The largest request body.
    public var maximumRequestBody: ByteCount
    /// How long what the bridge keeps is kept.
    public var retention: Retention

    /// The bridge's use of the database.
    public struct Database: Sendable, Equatable {
        /// The most connections one bridge process opens.
        public var poolSize = 8
        /// How long one statement may take before it is cancelled.
        public var statementDeadline = Duration.seconds(5)

        /// The defaults.
        public init() {}
    }

    /// For which stays rooms are offered.
    public struct Availability: Sendable, Equatable {
        /// How many days ahead of today, the hotel's own day, stays can be booked.
        public var windowInDays = 500
        /// The longest stay; at most ``longestStay``.
        public var maximumNights = 30

        /// How much of the database's connections may be used in the background to read anew what is free, in per cent.
        public var refreshShare = 25
        /// How long what was read of a hotel counts as fresh; it is read anew when half of that has passed.
        public var timeToLive = Duration.seconds(15 * 60)
        /// How old what is free may be to be told at all, marked as stale, while the PMS cannot be read.
        public var maximumAge = Duration.seconds(24 * 60 * 60)

        /// The longest that `maximumNights` may be set to. The bridge keeps that many nights, `maximumNights`, in
        /// memory beyond the window, so that a stay which begins on the window's last day is known to its end.
        public static let longestStay = 30

        /// The defaults.
        public init() {}
    }

    /// What the PMS does not know about a hotel.
    public struct Hotel: Sendable, Equatable {
        /// The IANA time zone that decides what day it is at the hotel.
        public var timeZone = "Asia/Tokyo"
        /// The ISO 4217 code of the currency its prices are in.
        public var currency = "JPY"
        /// Cancelling is free until the end of the day, at the hotel, that lies so many days before the arrival.
        public var freeCancellationDays = 3
        /// What cancelling costs after that, in per cent of the prices whose rates count.
        public var cancellationPercentage = 100
        /// What becomes of new bookings while the PMS cannot be reached.
        public var whenUnreachable = Absence.refuse

        /// What becomes of new bookings while the PMS cannot be reached.
        public enum Absence: String, Sendable, CaseIterable {
            /// They are answered 503.
            case refuse
            /// They are taken as pending, against what was free last. Only where the PMS's database is not the bridge's own:
            /// otherwise both are away together.
            case pending
        }

        /// The defaults.
        public init() {}
    }

    /// The author of the bridge's writes.
    public struct PMSWriter: Sendable, Equatable {
        /// The PMS user every write is attributed to; its audit triggers insist on one.
        public var userID: Int32
        /// The name under `agent` in the PMS's reservations.
        public var agentName: String
    }

    /// How long what the bridge keeps is kept.
    public struct Retention: Sendable, Equatable {
        /// Whole months of `booking_engine_audit_log` besides the present one.
        public var auditLogMonths = 13
        /// Days for which events stand in the outbox.
        public var eventDays = 30
        /// Days after the departure for which a booking can be read, and its `booking_engine_id` be recognised.
        public var bookingDays = 1100
        /// Days for which writes into the PMS that had failed and have ended stay on record.
        public var pmsWriteDays = 90
        /// Days for which webhooks that others have sent to us are kept, besides the present one; at least as many as for which
        /// they are recognised when they come again.
        public var inboundDays = 30

        /// The defaults.
        public init() {}
    }

    /// Reads and checks `bridge.yaml`; throws every mistake in it at once.
    public static func load(_ file: String) throws(PolicyError) -> BridgePolicy {
        try PolicyFile.load(file) { root in root.mapping { BridgePolicy(reading: $0) } }
    }

    /// Whether any hotel takes bookings while the PMS cannot be reached.
    public var takesPending: Bool {
        ([hotelDefaults] + hotels.values).contains { $0.whenUnreachable == .pending }
    }

    /// What holds for a hotel.
    public func hotel(_ hotelID: Int32) -> Hotel { hotels[hotelID] ?? hotelDefaults }

    private init(reading mapping: PolicyMapping) {
        database = mapping.mapping("database", absent: Database()) { Database(reading: $0) }
        availability = mapping.mapping("availability", absent: Availability()) { Availability(reading: $0) }
        let defaults = mapping.mapping("hotel_defaults", absent: Hotel()) { Hotel(reading: $0, defaults: Hotel()) }
        hotelDefaults = defaults
        hotels = Self.hotels(mapping, defaults: defaults)
        writer =
            mapping.required("pms_writer", expected: "the PMS user the bridge writes as")?
            .mapping { PMSWriter(reading: $0) } ?? PMSWriter(userID: 1, agentName: "")
        pmsWrites = mapping.mapping("pms_writes", absent: PMSWrites()) { PMSWrites(reading: $0) }
        webhooks = mapping.mapping("webhooks", absent: DeliveryPolicy()) { DeliveryPolicy(reading: $0) }
        maximumRequestBody = mapping.byteCount(
            "maximum_request_body", in: .kibibytes(1)...ByteCount.mebibytes(16), default: .kibibytes(128))
        retention = mapping.mapping("retention", absent: Retention()) { Retention(reading: $0) }
    }

    private static func hotels(_ mapping: PolicyMapping, defaults: Hotel) -> [Int32: Hotel] {
        var hotels: [Int32: Hotel] = [:]
        for node in mapping.optional("hotels")?.elements() ?? [] {
            let read = node.mapping { hotel in
                (Int32(hotel.integer("hotel_id", in: 1...Int(Int32.max))), Hotel(reading: hotel, defaults: defaults))
            }
            guard let (hotelID, hotel) = read else { continue }
            if hotels.updateValue(hotel, forKey: hotelID) != nil {
                node.refuse(expected: "each hotel once", found: "hotel \(hotelID) a second time")
            }
        }
        return hotels
    }
}

extension BridgePolicy.Database {
    fileprivate init(reading mapping: PolicyMapping) {
        poolSize = mapping.integer("pool_size", in: 1...1000, default: poolSize)
        statementDeadline = mapping.duration(
            "statement_deadline", in: .milliseconds(10)...Duration.seconds(300), default: statementDeadline)
    }
}

extension BridgePolicy.Availability {
    fileprivate init(reading mapping: PolicyMapping) {
        windowInDays = mapping.integer("window_in_days", in: 1...1000, default: windowInDays)
        maximumNights = mapping.integer("maximum_nights", in: 1...Self.longestStay, default: maximumNights)
        refreshShare = mapping.integer("refresh_share", in: 1...100, default: refreshShare)
        timeToLive = mapping.duration(
            "time_to_live", in: .seconds(1)...Duration.seconds(15 * 60), default: timeToLive)
        // Answers tell it in seconds.
        if timeToLive.components.attoseconds != 0 {
            mapping.optional("time_to_live")?.refuse(expected: "whole seconds")
        }
        maximumAge = mapping.duration(
            "maximum_age", in: timeToLive...Duration.seconds(30 * 24 * 60 * 60), default: maximumAge)
    }
}

extension BridgePolicy.Hotel {
    fileprivate init(reading mapping: PolicyMapping, defaults: BridgePolicy.Hotel) {
        self = defaults
        if let node = mapping.optional("time_zone"), let text = node.text() {
            if TimeZoneDatabase.contains(text) {
                timeZone = text
            } else {
                node.refuse(expected: "an IANA time zone such as Asia/Tokyo")
            }
        }
        if let node = mapping.optional("currency"), let text = node.text() {
            if CurrencyCode.isKnown(text) {
                currency = text
            } else {
                node.refuse(expected: "the ISO 4217 code of a currency in use, such as JPY")
            }
        }
        freeCancellationDays = mapping.integer("free_cancellation_days", in: 0...365, default: freeCancellationDays)
        cancellationPercentage = mapping.integer(
            "cancellation_percentage", in: 0...100, default: cancellationPercentage)
        whenUnreachable = mapping.choice("when_unreachable", default: whenUnreachable)
    }
}

extension BridgePolicy.Retention {
    fileprivate init(reading mapping: PolicyMapping) {
        auditLogMonths = mapping.integer("audit_log_months", in: 1...240, default: auditLogMonths)
        eventDays = mapping.integer("event_days", in: 1...3650, default: eventDays)
        bookingDays = mapping.integer("booking_days", in: 30...36_500, default: bookingDays)
        pmsWriteDays = mapping.integer("pms_write_days", in: 1...3650, default: pmsWriteDays)
        inboundDays = mapping.integer("inbound_days", in: 7...366, default: inboundDays)
    }
}

extension BridgePolicy.PMSWriter {
    fileprivate init(reading mapping: PolicyMapping) {
        userID = Int32(mapping.integer("user_id", in: 1...Int(Int32.max)))
        agentName = mapping.text("agent_name", expected: "the name in the PMS's reservations")
    }
}
