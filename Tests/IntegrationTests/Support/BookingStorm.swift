import JSONText
import Loop
import Stay
import TestSupport
import Testing

/// Clients that make, change, confirm and cancel bookings of few rooms, each its own, as fast as they can, and what they
/// were told. A request whose end is unknown is sent again with the same key until it is known.
@OnLoop
final class BookingStorm {
    /// What a client knows of a booking of its own.
    struct Known {
        let id: String
        var version: Int
        var status: String
        var arrival: Day
        var nights: Int
        var rooms: Int
    }

    /// Begins every `booking_engine_id`.
    let name = "storm-\(UInt64.random(in: 0 ... .max))"
    let seed: UInt64
    /// What was acknowledged last, by the booking engine's id.
    private(set) var known: [String: Known] = [:]
    /// Engine ids of requests to book that were refused.
    private(set) var refused: Set<String> = []
    /// Engine ids whose last request was not answered to the end.
    private(set) var unsettled: Set<String> = []
    /// How often each answer came.
    private(set) var answers: [String: Int] = [:]
    private(set) var brokenConnections = 0
    /// Answers that should not be.
    private(set) var oddities: [String] = []

    private let node: Node
    private let gateway: HTTPClient
    private let hotels = [1, 2, 3]
    private let window = TestStay(arrival: TestStay.today.advanced(by: 300), nights: 24)
    private var random: SeededNumbers
    private var number = 0
    private var isOver = false
    private var task: Task<Void, any Error>?

    init(_ node: Node, gateway: HTTPClient, clients: Int, seed: UInt64) {
        self.node = node
        self.gateway = gateway
        self.seed = seed
        random = SeededNumbers(seed: seed)
        task = Task { [self] in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for client in 0..<clients {
                    group.addTask { try await self.client(at: self.hotels[client % self.hotels.count]) }
                }
                try await group.waitForAll()
            }
        }
    }

    /// Answers of success.
    var successes: Int { answers.filter { $0.key.hasSuffix(" 200") || $0.key.hasSuffix(" 201") }.values.reduce(0, +) }

    /// Waits until so many more things were done.
    func wait(successes more: Int) async throws {
        let goal = successes + more
        try await IntegrationTests.wait("\(more) more successes; \(answers)", for: .seconds(120)) { [self] in
            successes >= goal
        }
    }

    /// Lets every client learn the end of what it does.
    func stop() async throws {
        isOver = true
        try await task?.value
    }

    // MARK: Clients

    private func client(at hotel: Int) async throws {
        let connection = StormConnection(gateway)
        defer { connection.close() }
        var mine: [String] = []
        while !isOver {
            mine.removeAll { known[$0].map { $0.status == "cancelled" || $0.status == "expired" } ?? true }
            if mine.isEmpty || mine.count < 4 && Int.random(in: 0..<10, using: &random) < 4 {
                if let engineID = try await create(at: hotel, connection) { mine.append(engineID) }
            } else {
                try await work(on: mine.randomElement(using: &random)!, at: hotel, connection)
            }
        }
    }

    private func create(at hotel: Int, _ connection: StormConnection) async throws -> String? {
        number += 1
        let (stay, rooms) = randomStay()
        var body = BookingBody(stay, hotel: hotel, type: randomType(of: hotel), rooms: rooms)
        body.engineID = "\(name)-\(number)"
        body.guestName = "\(name)-\(number)"
        if Int.random(in: 0..<3, using: &random) == 0 { body.more = #","hold_minutes":60"# }
        let key = "\(body.engineID)-create"
        guard let answer = try await settle(try node.request(body, key: key), body.engineID, "create", connection)
        else { return nil }
        guard answer.status == 201, let id = answer.string("booking_id") else {
            if answer.problem != "no-availability" { oddities.append("create: \(answer.status) \(answer.text)") }
            refused.insert(body.engineID)
            return nil
        }
        known[body.engineID] = Known(
            id: id, version: 1, status: answer.string("status") ?? "", arrival: stay.arrival,
            nights: stay.nights.count, rooms: rooms)
        return body.engineID
    }

    private func work(on engineID: String, at hotel: Int, _ connection: StormConnection) async throws {
        number += 1
        var booking = known[engineID]!
        let target = "/api/booking-engine/bookings/\(booking.id)"
        var request: TestRequest
        var what = "change"
        let (stay, rooms) = randomStay()
        switch Int.random(in: 0..<10, using: &random) {
        case 0..<3:
            what = "cancel"
            request = TestRequest(method: "DELETE", target: target, token: try node.token())
        case 3..<5 where booking.status == "hold":
            what = "confirm"
            request = .post(target, try node.token(), json: #"{"status":"confirmed"}"#)
        default:
            let type = randomType(of: hotel)
            let list = (0..<rooms).map { _ in #"{"room_type_id":\#(type),"guests":1,"plan_key":"1h"}"# }
            let dates = #""check_in":"\#(stay.arrival)","check_out":"\#(stay.departure)""#
            request = .post(
                target, try node.token(), json: #"{\#(dates),"rooms":[\#(list.joined(separator: ","))]}"#)
        }
        if what != "cancel" { request.method = "PUT" }
        request = request.with("If-Match", "\"\(booking.version)\"").with("Idempotency-Key", "\(engineID)-\(number)")
        guard let answer = try await settle(request, engineID, what, connection) else { return }
        switch answer.status {
        case 200:
            guard let version = answer.integer("version"), let status = answer.string("status"),
                version == booking.version + 1
            else {
                oddities.append("\(what) of version \(booking.version): \(answer.text)")
                return
            }
            (booking.version, booking.status) = (version, status)
            if what == "change" {
                (booking.arrival, booking.nights, booking.rooms) = (stay.arrival, stay.nights.count, rooms)
            }
            known[engineID] = booking
        case 409 where answer.problem == "no-availability": break
        case 409 where answer.problem == "booking-ended", 412:
            // Only holds end by themselves.
            if booking.status != "hold" { oddities.append("\(what): \(answer.text)") }
            (booking.version, booking.status) = (booking.version + 1, "expired")
            known[engineID] = booking
        default: oddities.append("\(what): \(answer.status) \(answer.text)")
        }
    }

    /// Two types, of few rooms.
    private func randomType(of hotel: Int) -> Int { hotel * 10 + [1, 3].randomElement(using: &random)! }

    private func randomStay() -> (TestStay, rooms: Int) {
        let nights = Int.random(in: 1...3, using: &random)
        let start = Int.random(in: 0...window.nights.count - nights, using: &random)
        return (
            TestStay(arrival: window.arrival.advanced(by: start), nights: nights), Int.random(in: 1...2, using: &random)
        )
    }

    /// Sends a request until its end is known; nil if nobody said so half a minute after all was over.
    private func settle(
        _ request: TestRequest, _ engineID: String, _ what: String, _ connection: StormConnection
    ) async throws -> Answer? {
        unsettled.insert(engineID)
        var patience = 1_000
        while patience > 0 {
            do {
                let answer = try await connection.send(request)
                answers["\(what) \(answer.status)", default: 0] += 1
                if answer.status < 500, answer.problem != "request-in-progress" {
                    unsettled.remove(engineID)
                    return answer
                }
                if answer.status == 500 { oddities.append(answer.text) }
            } catch {
                brokenConnections += 1
            }
            if isOver { patience -= 1 }
            try await Loop.sleep(for: .milliseconds(30))
        }
        return nil
    }

    // MARK: What must be true afterwards

    /// Checks the PMS, our own tables and the events against each other and against what clients were told.
    func expectTruth(sourceLocation: SourceLocation = #_sourceLocation) async throws {
        let story: Comment = "seed \(seed), \(answers), \(brokenConnections) broken connections"
        #expect(oddities.prefix(3) == [], story, sourceLocation: sourceLocation)
        #expect(unsettled.isEmpty, story, sourceLocation: sourceLocation)
        func expectNone(_ query: String, _ what: Comment) async throws {
            #expect(try await node.rows(query).prefix(3) == [], what, sourceLocation: sourceLocation)
        }
        let bookings = "(SELECT * FROM drawbridge.bookings WHERE booking_engine_id LIKE '\(name)-%') AS booking"
        // And whatever else the PMS has in our name that is no booking.
        let reservations = """
            (SELECT * FROM reservations WHERE ota_reservation_id LIKE '\(name)-%' OR agent = 'Drawbridge'
                AND NOT EXISTS (SELECT FROM drawbridge.bookings AS any_booking WHERE any_booking.booking_id = reservations.id)
            ) AS reservation
            """
        try await expectNone(
            """
            SELECT room_id, date FROM reservation_details WHERE hotel_id <= 3 AND cancelled IS NULL AND room_id IS NOT NULL
            GROUP BY hotel_id, 1, 2 HAVING count(*) > 1
            """, "a room-night is taken twice; \(story)")
        try await expectNone(
            """
            SELECT booking_id, reservation.id FROM \(bookings)
            FULL JOIN \(reservations) ON reservation.id = booking_id AND check_in = arrival AND check_out = departure
                AND reservation.status = CASE booking.status WHEN 'expired' THEN 'cancelled' ELSE booking.status END
            WHERE booking_id IS NULL OR reservation.id IS NULL
            """, "the PMS and we disagree; \(story)")
        try await expectNone(
            """
            SELECT booking_id FROM \(bookings)
            WHERE (SELECT array_agg((detail.date, room_id) ORDER BY detail.date, room_id)
                   FROM reservation_details AS detail
                   JOIN reservation_clients AS sleeper ON sleeper.hotel_id = detail.hotel_id AND sleeper.reservation_details_id = detail.id
                   JOIN reservation_rates AS rate ON rate.hotel_id = detail.hotel_id AND rate.reservation_details_id = detail.id
                   WHERE detail.hotel_id = booking.hotel_id AND reservation_id = booking_id AND cancelled IS NULL)
                IS DISTINCT FROM
                  (SELECT array_agg((night::DATE, room_id) ORDER BY night, room_id)
                   FROM drawbridge.booking_rooms AS room,
                        generate_series(arrival, departure - 1, INTERVAL '1 day') AS night
                   WHERE room.booking_id = booking.booking_id AND booking.status IN ('hold', 'confirmed'))
            """, "nights are other than booked; \(story)")
        try await expectNone(
            """
            SELECT booking_id FROM \(bookings)
            WHERE (SELECT array_agg(event.version ORDER BY event.version) FROM drawbridge.events AS event
                   WHERE entity_id = booking_id::TEXT) IS DISTINCT FROM
                  (SELECT array_agg(number) FROM generate_series(1, booking.version) AS number)
               OR (SELECT payload->'data'->>'status' FROM drawbridge.events AS event
                   WHERE entity_id = booking_id::TEXT AND event.version = booking.version) <> booking.status
               OR (SELECT count(*) FROM booking_engine_audit_log
                   WHERE entity_id = booking_id::TEXT AND status = 'success') <> booking.version
               OR NOT EXISTS (SELECT FROM booking_sync_status AS sync
                              WHERE sync.booking_id = booking.booking_id AND sync_status = 'synced')
            """, "a version has no event, or more than one; \(story)")
        try await expectNone(
            """
            SELECT entity_id FROM drawbridge.events WHERE NOT EXISTS (
                SELECT FROM drawbridge.bookings WHERE booking_id::TEXT = entity_id)
            """, "an event tells of no booking; \(story)")
        try await expectAnswers(sourceLocation, story)
    }

    /// Every answer is true, and what nobody was told of is not there.
    private func expectAnswers(_ sourceLocation: SourceLocation, _ story: Comment) async throws {
        var found: [String: [String]] = [:]
        let rows = try await node.rows(
            """
            SELECT booking_engine_id, booking_id, version, status, arrival, departure - arrival,
                   (SELECT count(*) FROM drawbridge.booking_rooms AS room WHERE room.booking_id = booking.booking_id)
            FROM drawbridge.bookings AS booking WHERE booking_engine_id LIKE '\(name)-%'
            """)
        for row in rows { found[row[0]] = Array(row[1...]) }
        let wrong = known.filter { engineID, told in
            let now = found[engineID]
            let asTold = [
                told.id, "\(told.version)", told.status, "\(told.arrival)", "\(told.nights)", "\(told.rooms)",
            ]
            guard now != asTold else { return false }
            // A hold may have ended since.
            return !(told.status == "hold" && now?[1] == "\(told.version + 1)" && now?[2] == "expired")
        }
        #expect(wrong.isEmpty, story, sourceLocation: sourceLocation)
        #expect(refused.filter { found[$0] != nil } == [], story, sourceLocation: sourceLocation)
        #expect(Set(found.keys).subtracting(known.keys) == [], story, sourceLocation: sourceLocation)
    }

    /// Checks that the index of the bridge behind the gateway says what the database says.
    func expectAgreement() async throws {
        for hotel in hotels {
            try await IntegrationTests.wait("the index of hotel \(hotel) agrees with the database", for: .seconds(60)) {
                [self] in
                let answer = try await gateway.send(.get(window.availability(hotel), try node.token()))
                guard answer.status == 200 else { return false }
                return try await node.nightlyCountsInDatabase(hotel, window) == Node.nightlyCounts(in: answer)
            }
        }
    }
}

/// A connection that is opened again when it has broken.
@OnLoop
private final class StormConnection {
    private let gateway: HTTPClient
    private var connection: HTTPConnection?

    init(_ gateway: HTTPClient) { self.gateway = gateway }

    func close() {
        connection?.close()
        connection = nil
    }

    func send(_ request: TestRequest) async throws -> Answer {
        if connection == nil { connection = try await gateway.connect() }
        do {
            let answer = try await connection!.send(request)
            if !answer.keepsAlive { close() }
            return answer
        } catch {
            close()
            throw error
        }
    }
}
