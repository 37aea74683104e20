import JSONText
import Loop
import Stay
import Testing

@Suite("Lists of bookings")
struct BookingListTests {
    init() { Loop.runInBackground() }

    private static let bookings = "/api/booking-engine/bookings"

    /// All pages, and how many there were.
    @OnLoop private func all(
        _ node: Node, _ query: String, limit: Int, token: String? = nil
    ) async throws -> (bookings: [JSONValue], pages: Int) {
        var (found, pages): ([JSONValue], Int) = ([], 0)
        var cursor = ""
        repeat {
            let answer = try await node.gateway.send(
                .get("\(Self.bookings)?limit=\(limit)\(query)\(cursor)", try token ?? node.token()))
            try #require(answer.status == 200, "\(answer.text)")
            let page = answer.elements("bookings")
            #expect(page.count <= limit)
            found += page
            pages += 1
            cursor = answer.string("next_cursor").map { "&cursor=\($0)" } ?? ""
            try #require(pages < 200)
        } while !cursor.isEmpty
        return (found, pages)
    }

    private func ids(_ bookings: [JSONValue]) -> [String] { bookings.compactMap { $0["booking_id"]?.string } }

    @Test("Page by page every booking comes once, in the order in which they last changed, as it is read by itself")
    @OnLoop func pages() async throws {
        let node = try await Node.shared()
        let stay = TestStay.next(1)
        var first: Answer?
        var made: [String] = []
        for number in 0..<5 {
            let answer = try await node.book(BookingBody(stay, hotel: 2, type: number % 2 == 0 ? 21 : 22))
            first = first ?? answer
            made.append(try #require(answer.string("booking_id")))
        }
        let since = try #require(first?.string("created_at"))
        // What is changed comes last.
        var change = TestRequest.post("\(Self.bookings)/\(made[1])", try node.token(), json: #"{"comment":"a"}"#)
        change.method = "PUT"
        #expect(try await node.gateway.send(change.with("If-Match", "*")).status == 200)
        let (bookings, pages) = try await all(node, "&hotel_id=2&updated_since=\(since)", limit: 2)
        let mine = ids(bookings).filter { made.contains($0) }
        #expect(mine == [made[0], made[2], made[3], made[4], made[1]])
        #expect(pages == (bookings.count + 1) / 2)
        for booking in bookings {
            let id = try #require(booking["booking_id"]?.string)
            guard made.contains(id) else { continue }
            #expect(try JSONValue(parsing: try await node.get("\(Self.bookings)/\(id)").content) == booking)
        }
    }

    @Test("Those of every hotel come in one order, of the client's hotels only")
    @OnLoop func hotels() async throws {
        let node = try await Node.shared()
        let stay = TestStay.next(1)
        var made: [String] = []
        var since: String?
        for (hotel, type) in [(1, 11), (2, 21), (1, 12), (2, 22)] {
            let answer = try await node.book(BookingBody(stay, hotel: hotel, type: type))
            since = since ?? answer.string("created_at")
            made.append(try #require(answer.string("booking_id"), "\(answer.text)"))
        }
        let query = "&updated_since=\(try #require(since).replacing(":", with: "%3A"))"
        let everywhere = ids(try await all(node, query, limit: 3).bookings)
        #expect(everywhere.filter { made.contains($0) } == made)
        let some = try node.token { $0.hotels = "[1, 2]" }
        #expect(ids(try await all(node, query, limit: 3, token: some).bookings).filter { made.contains($0) } == made)
        let one = try node.token { $0.hotels = "[2]" }
        let found = try await all(node, query, limit: 100, token: one).bookings
        #expect(found.allSatisfy { $0["hotel_id"]?.integer == 2 })
        #expect(ids(found).filter { made.contains($0) } == [made[1], made[3]])
        expectProblem(
            try await node.gateway.send(.get("\(Self.bookings)?hotel_id=1", one)), 403, "foreign-hotel")
        let none = try node.token { $0.hotels = "[]" }
        #expect(try await all(node, "", limit: 100, token: none).bookings.isEmpty)
    }

    @Test("A booking is found by the booking engine's id")
    @OnLoop func engineID() async throws {
        let node = try await Node.shared()
        var body = BookingBody(.next(1))
        body.engineID = "list/\(UInt64.random(in: 0 ... .max))?x=1"
        #expect(try await node.book(body).status == 201)
        let name = body.engineID.replacing("?", with: "%3F").replacing("=", with: "%3D")
        for query in ["", "&hotel_id=2"] {
            let found = try await all(node, "&booking_engine_id=\(name)\(query)", limit: 100).bookings
            #expect(found.compactMap { $0["booking_engine_id"]?.string } == [body.engineID])
        }
        #expect(try await all(node, "&booking_engine_id=none-such", limit: 100).bookings.isEmpty)
    }

    @Test("Who asks again since complete_until misses nothing, whatever commits late")
    @OnLoop func completeUntil() async throws {
        let node = try await Node.shared()
        let answer = try await node.get("\(Self.bookings)?limit=1&hotel_id=3")
        let complete = try #require(answer.string("complete_until"))
        let id = try #require(try await node.book(BookingBody(.next(1), hotel: 3, type: 32)).string("booking_id"))
        // As if its transaction had begun before the list was read.
        _ = try await node.rows(
            "UPDATE drawbridge.bookings SET updated_at = updated_at - INTERVAL '20 s' WHERE booking_id = '\(id)'")
        let found = try await all(node, "&hotel_id=3&updated_since=\(complete)", limit: 100).bookings
        #expect(ids(found).contains(id))
    }

    @Test(
        "What is no parameter is refused",
        arguments: [
            ("hotel_id=x", "hotel_id"), ("hotel_id=0", "hotel_id"), ("limit=0", "limit"), ("limit=101", "limit"),
            ("cursor=abc", "cursor"), ("updated_since=yesterday", "updated_since"), ("x=1", "x"),
            ("updated_since=2027-02-30T00:00:00Z", "updated_since"), ("limit=1&limit=2", "limit"),
            ("booking_engine_id=", "booking_engine_id"), ("updated_since=2027-01-01", "updated_since"),
        ])
    @OnLoop func refused(query: String, name: String) async throws {
        let node = try await Node.shared()
        let answer = try await node.get("\(Self.bookings)?\(query)")
        expectProblem(answer, 400, "malformed-request")
        #expect(answer.string("errors.0.pointer") == "/query/\(name)", "\(answer.text)")
    }

    @Test("A cursor that somebody made up leads nowhere else")
    @OnLoop func forgedCursor() async throws {
        let node = try await Node.shared()
        #expect(try await node.book(BookingBody(.next(1))).status == 201)
        let words = ["0000000000000000", "ffffffffffffffff", "8000000000000000", "7fffffffffffffff"]
        for word in words {
            for position in 0..<4 {
                let cursor = (0..<4).map { $0 == position ? word : words[0] }.joined()
                let answer = try await node.gateway.send(
                    .get("\(Self.bookings)?limit=100&cursor=\(cursor)", try node.token { $0.hotels = "[1]" }))
                // No calendar has such a moment.
                let isNoMoment = (position == 0 || position == 3) && (word == words[2] || word == words[3])
                #expect(answer.status == (isNoMoment ? 400 : 200), "\(cursor): \(answer.text)")
                #expect(answer.elements("bookings").allSatisfy { $0["hotel_id"]?.integer == 1 })
            }
        }
    }

    @Test("Each list is read by an index, in its order")
    @OnLoop func plans() async throws {
        let node = try await Node.shared()
        let settings = "SET enable_seqscan = off; SET plan_cache_mode = force_custom_plan;"
        let all = try await node.rows(
            """
            \(settings) EXPLAIN SELECT * FROM drawbridge.bookings
            WHERE (updated_at, booking_id) > (now(), gen_random_uuid()) ORDER BY updated_at, booking_id LIMIT 51
            """)
        #expect("\(all)".contains("bookings_changed") && !"\(all)".contains("Sort"))
        let one = try await node.rows(
            """
            \(settings) EXPLAIN SELECT page.* FROM unnest('{1,2}'::INT[]) AS hotel (id) CROSS JOIN LATERAL (
                SELECT * FROM drawbridge.bookings
                WHERE hotel_id = hotel.id AND (updated_at, booking_id) > (now(), gen_random_uuid())
                ORDER BY updated_at, booking_id LIMIT 51) AS page
            """)
        #expect("\(one)".contains("bookings_updated") && !"\(one)".contains("Sort"))
    }
}
