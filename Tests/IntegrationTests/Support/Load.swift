import JSONText
import Loop
import Stay
import Testing

/// Clients that keep asking and booking while something happens to the installation, and what they were told.
@OnLoop
final class Load {
    /// Begins every `booking_engine_id`, so that what was booked can be found.
    let name = "load-\(UInt64.random(in: 0 ... .max))"
    /// Engine ids that were answered 201.
    private(set) var booked: [String] = []
    /// The ids of all requests that were answered.
    private(set) var requestIDs: [String] = []
    /// Those of them whose answer was that they cannot be recorded.
    private(set) var unrecordedIDs: [String] = []
    /// How often each status came.
    private(set) var statuses: [Int: Int] = [:]
    /// How often a connection broke instead of an answer.
    private(set) var brokenConnections = 0
    /// How often no connection could be had.
    private(set) var refusedConnections = 0
    /// Answers that should not be: 503 without `Retry-After`, content that is cut.
    private(set) var oddities: [String] = []

    private let node: Node
    private let gateway: HTTPClient?
    private let window: TestStay
    private var isOver = false
    private var number = 0
    private var task: Task<Void, any Error>?

    /// - Parameters:
    ///   - gateway: whom they ask; the installation's own gateways without it.
    ///   - bookers: clients that book, each time another stay, and read it back.
    ///   - readers: clients that ask for availability.
    init(_ node: Node, gateway: HTTPClient? = nil, bookers: Int = 6, readers: Int = 4) throws {
        self.node = node
        self.gateway = gateway
        window = TestStay(arrival: TestStay.today.advanced(by: 80), nights: 300)
        task = Task { [self] in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<bookers { group.addTask { try await self.client { try self.nextBooking() } } }
                for _ in 0..<readers {
                    group.addTask {
                        try await self.client {
                            try .get(
                                TestStay(arrival: self.window.arrival, nights: 7).availability(2), self.node.token())
                        }
                    }
                }
                try await group.waitForAll()
            }
        }
    }

    var answers: Int { statuses.values.reduce(0, +) }

    func count(_ status: Int) -> Int { statuses[status] ?? 0 }

    /// Lets every client finish what it does.
    func stop() async throws {
        isOver = true
        try await task?.value
    }

    /// Waits until so many more answers came.
    func wait(answers more: Int, status: Int? = nil) async throws {
        let goal = (status.map(count) ?? answers) + more
        try await IntegrationTests.wait("\(more) more answers") { [self] in (status.map(count) ?? answers) >= goal }
    }

    private func nextBooking() throws -> TestRequest {
        number += 1
        let stay = TestStay(arrival: window.arrival.advanced(by: number * 2 % 290), nights: 2)
        var body = BookingBody(stay, type: 21 + number % 3)
        body.engineID = "\(name)-\(number)"
        return try node.request(body)
    }

    private func client(_ next: @OnLoop () throws -> TestRequest) async throws {
        var connection: HTTPConnection?
        defer { connection?.close() }
        while !isOver {
            let request = try next()
            if connection == nil {
                do { connection = try await (gateway ?? node.gateway).connect() } catch {
                    refusedConnections += 1
                    try await Loop.sleep(for: .milliseconds(20))
                    continue
                }
            }
            do {
                let answer = try await connection!.send(request)
                record(answer, request)
                if !answer.keepsAlive {
                    connection?.close()
                    connection = nil
                }
                // Nobody asks again at once who was told to wait.
                if answer.status >= 500 { try await Loop.sleep(for: .milliseconds(20)) }
            } catch let error as LoopError where error.code == .timedOut {
                oddities.append("no answer within \(HTTPClient.patience)")
                connection?.close()
                connection = nil
            } catch {
                brokenConnections += 1
                connection?.close()
                connection = nil
            }
        }
    }

    private func record(_ answer: Answer, _ request: TestRequest) {
        statuses[answer.status, default: 0] += 1
        if answer.status == 201, let id = answer.string("booking_engine_id") { booked.append(id) }
        if answer.status == 503, answer["Retry-After"] == nil { oddities.append("503 without Retry-After") }
        if let id = answer["X-Request-Id"] { requestIDs.append(id) } else { oddities.append("no request id") }
        if answer.status >= 400, answer["Content-Type"] != "application/problem+json" { oddities.append(answer.text) }
        if answer.problem == "ledger-unavailable", let id = answer["X-Request-Id"] { unrecordedIDs.append(id) }
        if (try? JSONValue(parsing: answer.content)) == nil { oddities.append("no JSON: \(answer.text)") }
    }

    /// Checks that every booking a client was told of is there, and that none is half there.
    func expectConsistency(sourceLocation: SourceLocation = #_sourceLocation) async throws {
        let rows = try await node.rows(
            "SELECT booking_engine_id FROM drawbridge.bookings WHERE booking_engine_id LIKE '\(name)-%'")
        let missing = Set(booked).subtracting(rows.map { $0[0] })
        #expect(missing.isEmpty, sourceLocation: sourceLocation)
        let halves = try await node.rows(
            """
            SELECT COALESCE(ota_reservation_id, booking_engine_id), reservation.id, booking_id
            FROM (SELECT * FROM reservations WHERE ota_reservation_id LIKE '\(name)-%') AS reservation
            FULL JOIN (SELECT * FROM drawbridge.bookings WHERE booking_engine_id LIKE '\(name)-%') AS booking
                   ON booking_id = id
            WHERE id IS NULL OR booking_id IS NULL
               OR NOT EXISTS (SELECT FROM booking_sync_status AS sync WHERE sync.booking_id = reservation.id)
               OR NOT EXISTS (SELECT FROM drawbridge.booking_rooms AS room WHERE room.booking_id = reservation.id)
               OR check_out - check_in <> (
                    SELECT count(*) FROM reservation_details AS detail
                    JOIN reservation_clients AS client ON client.hotel_id = 2 AND client.reservation_details_id = detail.id
                    JOIN reservation_rates AS rate ON rate.hotel_id = 2 AND rate.reservation_details_id = detail.id
                    WHERE detail.hotel_id = 2 AND reservation_id = reservation.id)
            """)
        #expect(halves == [], sourceLocation: sourceLocation)
        let orphans = try await node.value(
            """
            SELECT count(*) FROM reservation_details AS detail
            WHERE NOT EXISTS (SELECT FROM reservations WHERE hotel_id = detail.hotel_id AND id = reservation_id)
            """)
        #expect(orphans == "0", sourceLocation: sourceLocation)
        let twice = try await node.rows(
            """
            SELECT room_id, date FROM reservation_details WHERE hotel_id = 2 AND cancelled IS NULL AND room_id IS NOT NULL
            GROUP BY 1, 2 HAVING count(*) > 1
            """)
        #expect(twice == [], sourceLocation: sourceLocation)
    }

    /// Waits until availability says what the database says, on every night of the window.
    func expectAgreement() async throws {
        for start in stride(from: 0, to: window.nights.count, by: 30) {
            let stay = TestStay(arrival: window.arrival.advanced(by: start), nights: 30)
            try await IntegrationTests.wait("the index agrees with the database from \(stay.arrival)") { [node] in
                let counts = try await node.nightlyCounts(2, stay)
                return try await node.nightlyCountsInDatabase(2, stay) == counts
            }
        }
    }
}

extension Node {
    /// Rooms free by type and night, as availability says.
    func nightlyCounts(_ hotel: Int, _ stay: TestStay) async throws -> [[String]] {
        Self.nightlyCounts(in: try await get(stay.availability(hotel)))
    }

    /// The same from an answer.
    static func nightlyCounts(in answer: Answer) -> [[String]] {
        answer.elements("room_types").flatMap { type -> [[String]] in
            guard case .array(let nights)? = type["nights"] else { return [] }
            return nights.map { night in
                [
                    String(type["room_type_id"]?.integer ?? -1), night["date"]?.string ?? "",
                    String(night["available"]?.integer ?? -1),
                ]
            }
        }
    }

    /// The same from the PMS's rows.
    func nightlyCountsInDatabase(_ hotel: Int, _ stay: TestStay) async throws -> [[String]] {
        try await rows(
            """
            SELECT room_type_id, night::DATE, count(*) FILTER (WHERE NOT EXISTS (
                SELECT FROM reservation_details AS detail
                WHERE detail.hotel_id = \(hotel) AND room_id = rooms.id AND date = night AND cancelled IS NULL))
            FROM rooms, generate_series('\(stay.arrival)', '\(stay.nights.last!)', INTERVAL '1 day') AS night
            WHERE hotel_id = \(hotel) AND for_sale AND NOT is_staff_room GROUP BY 1, 2 ORDER BY 1, 2
            """)
    }
}
