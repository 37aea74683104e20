internal import Booking
internal import Client
internal import Glibc
internal import HTTP
internal import JSONText
internal import Loop
internal import PMS
internal import Postgres
internal import Stay

/// `drawbridge reconcile`: compares bookings with the PMS, and the indexes of the bridges that run with the database; says in
/// what they differ, a line each, and mends by the code that notes what the front desk does.
///
/// It works beside bridges that run: what differs is looked at once more a while later, since a bridge may be about to note
/// it, and whatever is changed is changed under the hotel's lock.
@OnLoop
struct Reconciliation {
    /// What is compared, and whether it is mended.
    struct Order {
        /// Nil for all hotels.
        var hotel: Int32?
        var repairs = false
    }

    /// In what something differs.
    private struct Drift: Hashable {
        enum Kind: String {
            case gone = "its reservation is gone, and nobody was told"
            case changed = "the front desk has changed it, and nobody was told"
            case revived = "it has ended, and its reservation takes rooms all the same"
            case shared = "another reservation takes a room of it on the same night"
            case unknown = "a reservation in our name that is no booking"
            case index = "room-nights of the index differ from the database"
        }

        let hotel: Int32
        let kind: Kind
        /// What it is about.
        let subject: String
        /// The booking; nil for what is none.
        var booking: BookingID?

        /// Whether it can be mended without people.
        var isMendable: Bool { kind != .revived && kind != .unknown }
    }

    /// For bridges to note what they have heard of.
    private static let patience = Duration.seconds(2)
    private static let attempts = 3
    private static let pageSize: Int32 = 500

    let database: Database
    let pms: RhtHotel
    let hotels: HotelDirectory
    let bookings: BookingService
    let agent: String
    /// Where the sockets of the bridges are.
    let sockets: String

    /// - Returns: how much differs, when all is done.
    func run(_ order: Order) async throws -> Int {
        var compared = 0
        var drift = try await look(order, &compared)
        // Bookings may outlive their hotel; a hotel that nobody knows is a slip of the pen, and no all-clear.
        if let hotel = order.hotel, compared == 0, try await !pms.hotelIDs().contains(hotel) {
            throw BridgeConfiguration.Mistake(
                description: "the PMS has no hotel \(hotel), and there is no booking of it to compare")
        }
        for _ in 1..<Self.attempts where !drift.isEmpty {
            try await Loop.sleep(for: Self.patience)
            var count = 0
            let again = Set(try await look(order, &count))
            drift = drift.filter { again.contains($0) }
        }
        for difference in drift {
            Self.say("hotel \(difference.hotel): \(difference.subject): \(difference.kind.rawValue)")
        }
        var left = drift.count
        if order.repairs, !drift.isEmpty {
            for difference in drift where difference.isMendable { await mend(difference) }
            var count = 0
            let remaining = Set(try await look(order, &count))
            for difference in drift where remaining.contains(difference) {
                Self.say("hotel \(difference.hotel): \(difference.subject): not mended")
            }
            left = remaining.count
        }
        let mended = order.repairs ? ", \(drift.count - min(left, drift.count)) mended" : ""
        Self.say("\(compared) bookings compared, \(drift.count) differences\(mended)")
        return left
    }

    /// What the PMS or a client has typed is printed without what moves a terminal's cursor.
    private static func say(_ line: String) {
        print(String(String.UnicodeScalarView(line.unicodeScalars.map { $0.value < 32 || $0.value == 127 ? "?" : $0 })))
    }

    // MARK: Looking

    private func look(_ order: Order, _ compared: inout Int) async throws -> [Drift] {
        var drift: [Drift] = []
        var last = BookingID(high: 0, low: 0)
        while true {
            let page = try await database.query(ReconciliationStatements.page(last, order.hotel, Self.pageSize))
            guard let end = page.last else { break }
            drift += try await compare(page)
            compared += page.count
            last = end.id
        }
        drift += try await unknownReservations(order)
        drift += try await indexes(order)
        return drift
    }

    private func compare(_ page: [StoredBooking]) async throws -> [Drift] {
        let reservations = try await bookings.pms.reservations(page.map(\.id), hotels: Set(page.map(\.hotel)))
        var places: [RoomNight] = []
        var drift: [Drift] = []
        for stored in page {
            let reservation = reservations[stored.id]
            func add(_ kind: Drift.Kind) {
                drift.append(
                    Drift(
                        hotel: stored.hotel, kind: kind, subject: "booking \(stored.id) (\(stored.engineID))",
                        booking: stored.id))
            }
            guard stored.life.isActive else {
                if let reservation, reservation.status != .cancelled { add(.revived) }
                continue
            }
            guard let reservation else {
                add(.gone)
                continue
            }
            if stored.isChanged(by: reservation) { add(.changed) }
            let today = hotels.today(stored.hotel)
            for night in reservation.nights(stored.total.currency) where !night.isCancelled && night.night >= today {
                if let room = night.room {
                    places.append(RoomNight(hotel: stored.hotel, room: room, night: night.night))
                }
            }
        }
        guard !places.isEmpty else { return drift }
        let sharing = Set(try await pms.reservations(sharing: places))
        for stored in page where stored.life.isActive && sharing.contains(stored.id) {
            drift.append(
                Drift(
                    hotel: stored.hotel, kind: .shared, subject: "booking \(stored.id) (\(stored.engineID))",
                    booking: stored.id))
        }
        return drift
    }

    private func unknownReservations(_ order: Order) async throws -> [Drift] {
        let ours = try await pms.reservations(of: agent, hotel: order.hotel)
        var drift: [Drift] = []
        for start in stride(from: 0, to: ours.count, by: Int(Self.pageSize)) {
            let part = ours[start..<min(ours.count, start + Int(Self.pageSize))]
            let known = Set(try await database.query(ReconciliationStatements.known(part.map(\.id))))
            for reservation in part where !known.contains(reservation.id) {
                drift.append(
                    Drift(
                        hotel: reservation.hotel, kind: .unknown,
                        subject: "reservation \(reservation.id) (\(reservation.engineID ?? "-"))"))
            }
        }
        return drift
    }

    // MARK: The indexes of the bridges that run

    private var bridges: [String] {
        guard let directory = opendir(sockets) else { return [] }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name.hasPrefix("bridge"), name.hasSuffix(".admin.sock") { names.append(name) }
        }
        return names.sorted()
    }

    private func indexes(_ order: Order) async throws -> [Drift] {
        let ids: [Int32] = if let hotel = order.hotel { [hotel] } else { try await pms.hotelIDs() }
        var drift: [Drift] = []
        for socket in bridges {
            do {
                for part in ids.parts(ofAtMost: BridgeAdministration.hotelBound) {
                    let answer = try await ask(socket, .get, part)
                    guard case .array(let hotels)? = answer["hotels"] else { continue }
                    for hotel in hotels {
                        let id = Int32(hotel["hotel_id"]?.integer ?? 0)
                        drift.append(
                            Drift(hotel: id, kind: .index, subject: String(socket.dropLast(".admin.sock".count))))
                    }
                }
            } catch let error where !(error is CancellationError) {
                // It does not run, or is busy: its index cannot be asked, and is read anew when it starts.
                continue
            }
        }
        return drift
    }

    private func ask(_ socket: String, _ method: Method, _ hotels: [Int32]) async throws -> JSONValue {
        let path = "/index-drift?hotels=\(hotels.map(String.init).joined(separator: ","))"
        guard let target = RequestTarget(path, authority: "bridge") else { preconditionFailure("a path of our own") }
        var head = RequestHead(method: method, target: target, keepAlive: false)
        if method == .post { head.framing = .length(0) }
        var request: [UInt8] = []
        head.append(to: &request)
        return try await Exchange.single(
            request, method: method, to: .unix(path: "\(sockets)/\(socket)"), timeout: .seconds(60)
        ) { exchange in
            guard exchange.head.status == .ok else { throw LoopError(.unreachable, "ask a bridge") }
            return try JSONValue(parsing: try await exchange.content(upTo: 1 << 20))
        }
    }

    // MARK: Mending

    private func mend(_ drift: Drift) async {
        do {
            if let booking = drift.booking {
                let outcome = try await bookings.check(BookingCheck(booking: booking, hotel: drift.hotel))
                Self.say("hotel \(drift.hotel): \(drift.subject): \(outcome.rawValue)")
            } else if drift.kind == .index {
                _ = try await ask("\(drift.subject).admin.sock", .post, [drift.hotel])
            }
        } catch {
            Self.say("hotel \(drift.hotel): \(drift.subject): \(error)")
        }
    }
}

private enum ReconciliationStatements {
    /// Bookings whose nights are not long past, in order of id.
    static let page = Statement<StoredBooking, BookingID, Int32?, Int32>(
        "bridge.bookings_to_reconcile",
        BookingStatements.storedBooking,
        """
        (
            SELECT * FROM drawbridge.bookings
            WHERE booking_id > $1 AND ($2::INTEGER IS NULL OR hotel_id = $2) AND departure >= current_date - 2
            ORDER BY booking_id LIMIT $3
        )
        """, BookingStatements.withSyncAndRooms, "ORDER BY booking.booking_id"
    ) { row in try StoredBooking(&row) }

    static let known = Statement<BookingID, [BookingID]>(
        "bridge.known_bookings", "SELECT booking_id FROM drawbridge.bookings WHERE booking_id = ANY ($1)"
    ) { row in try row.next() }
}
