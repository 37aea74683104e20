// How long after a change at the front desk the next availability answer shows it, through both processes.
//
// usage: bench-changes GATEWAY-PORT HOTEL CHANGES    with DATABASE_URL and BOOKING_ENGINE_TOKEN in the environment
//
// Each change is one statement of the PMS's role; from when it is committed on, availability is asked for until it tells of
// it. Prints `report p50` and `report p99` in milliseconds.

import Client
import Glibc
import HTTP
import Loop
import Postgres
import Stay

func fail(_ reason: String) -> Never {
    print("bench-changes: \(reason)")
    exit(1)
}

func variable(_ name: String) -> String {
    guard let value = getenv(name) else { fail("\(name) is not set") }
    return String(cString: value)
}

enum Statements {
    /// A room nobody sleeps in that night, taken by somebody's reservation.
    static let take = Statement<String, Int32, String>(
        "bench.take",
        """
        INSERT INTO reservation_details (hotel_id, reservation_id, date, room_id, plan_type, number_of_people, price)
        SELECT $1, (SELECT id FROM reservations WHERE hotel_id = $1 LIMIT 1), $2::DATE, id, 'per_room', 1, 9000
        FROM rooms WHERE hotel_id = $1 AND for_sale AND NOT is_staff_room AND NOT EXISTS (
            SELECT FROM reservation_details AS detail
            WHERE detail.hotel_id = $1 AND room_id = rooms.id AND date = $2::DATE AND cancelled IS NULL)
        LIMIT 1 RETURNING id::TEXT
        """
    ) { row in try row.next() }

    static let giveBack = Statement<String, Int32, String>(
        "bench.give_back",
        "DELETE FROM reservation_details WHERE hotel_id = $1 AND id = $2::UUID RETURNING id::TEXT"
    ) { row in try row.next() }
}

@OnLoop
struct Desk {
    let port: UInt16
    let hotel: Int32
    let database: Database
    let night: Day

    /// The answer but for what changes of itself.
    func rooms() async throws -> String {
        let path = "/api/booking-engine/availability/\(hotel)?start_date=\(night)&end_date=\(night.advanced(by: 1))"
        let request =
            "GET \(path) HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer \(variable("BOOKING_ENGINE_TOKEN"))\r\n\r\n"
        return try await Exchange.single(
            Array(request.utf8), method: .get, to: .tcp(address: "127.0.0.1", port: port), timeout: .seconds(5)
        ) { exchange in
            guard exchange.head.status == .ok else { fail("the gateway answers \(exchange.head.status.rawValue)") }
            let text = String(decoding: try await exchange.content(upTo: 1 << 20), as: UTF8.self)
            return String(text[..<(text.firstRange(of: "\"last_updated\"")?.lowerBound ?? text.endIndex)])
        }
    }

    /// Milliseconds until the answer shows a change, and the night that it changed.
    func measure(_ change: Query<String>) async throws -> (milliseconds: Double, id: String) {
        let before = try await rooms()
        guard let id = try await database.first(change) else { fail("nothing was changed") }
        let changed = Loop.monotonicNanoseconds
        while try await rooms() == before {
            if Loop.monotonicNanoseconds - changed > 10_000_000_000 { fail("the change does not show") }
        }
        return (Double(Loop.monotonicNanoseconds - changed) / 1e6, id)
    }
}

@OnLoop
func run() async throws {
    let arguments = CommandLine.arguments
    guard arguments.count == 4, let port = UInt16(arguments[1]), let hotel = Int32(arguments[2]),
        let count = Int(arguments[3]), count > 0
    else {
        print("usage: bench-changes GATEWAY-PORT HOTEL CHANGES")
        exit(64)
    }
    var configuration = DatabaseConfiguration(variable("DATABASE_URL"), name: "pms")
    configuration.connections = 1
    let database = try Database(configuration)
    try await withThrowingDiscardingTaskGroup { group in
        group.addTask { await database.run() }
        let today = Day(daysSinceEpoch: Int(Loop.unixSeconds / 86400))!
        let desk = Desk(port: port, hotel: hotel, database: database, night: today.advanced(by: 300))
        var milliseconds: [Double] = []
        while milliseconds.count < count {
            let taken = try await desk.measure(Statements.take(hotel, desk.night.description))
            let given = try await desk.measure(Statements.giveBack(hotel, taken.id))
            milliseconds += [taken.milliseconds, given.milliseconds]
        }
        milliseconds.sort()
        print("report p50 \(milliseconds[milliseconds.count / 2])")
        print("report p99 \(milliseconds[min(milliseconds.count - 1, milliseconds.count * 99 / 100)])")
        group.cancelAll()
    }
}

do { try Loop.run { try await run() } } catch { fail("\(error)") }
