// Commits events, each in a transaction of its own, at a steady rate, and receives the webhooks that come of them, by HTTPS.
//
// usage: bench-webhooks CERTIFICATE KEY PORT OTHER-PORT RATE SECONDS HOTELS OTHER-HOTELS [hang]    with DATABASE_URL
//
// Events are of hotels 1…HOTELS, whose endpoints are at PORT, and of OTHER-HOTELS more, whose are at OTHER-PORT, in turn. With
// `hang` requests at OTHER-PORT are never answered. Both clocks, of commit and of arrival, are this process's own. What arrives
// at PORT is reported: `report rate` a second, `report p50` and `report p95` in milliseconds, `report missing` and `report twice`.

import Glibc
import HTTP
import Loop
import Postgres
import Server
import TLS

func fail(_ reason: String) -> Never {
    print("bench-webhooks: \(reason)")
    exit(1)
}

enum Statements {
    /// Hotel, entity, what else is in it: as long as a booking of one room.
    static let commit = Statement<String, Int32, String, String>(
        "bench.commit_event",
        """
        INSERT INTO drawbridge.outbox_events (event_id, type, hotel_id, entity_id, version, payload)
        VALUES (drawbridge.time_ordered_id(), 'booking.updated', $1, $2, 1, json_build_object(
            'type', 'booking.updated', 'timestamp', drawbridge.instant(now()), 'data', json_build_object(
                'booking_id', $2, 'hotel_id', $1, 'version', 1, 'rooms', $3)))
        RETURNING event_id::TEXT
        """
    ) { row in try row.next() }
}

/// When each event was committed and when it arrived, in nanoseconds of the monotonic clock.
@OnLoop
final class Times {
    private(set) var committed: [String: UInt64] = [:]
    private(set) var arrived: [String: UInt64] = [:]
    /// How many have arrived again.
    private(set) var twice = 0
    /// Events of endpoints that answer.
    private var expected = 0
    private var present = 0

    func commit(_ id: String, at instant: UInt64, counts: Bool) {
        guard counts else { return }
        committed[id] = instant
        expected += 1
        if arrived[id] != nil { present += 1 }
    }

    func arrive(_ id: String) {
        guard arrived.updateValue(arrived[id] ?? Loop.monotonicNanoseconds, forKey: id) == nil else {
            twice += 1
            return
        }
        if committed[id] != nil { present += 1 }
    }

    var missing: Int { expected - present }

    /// Milliseconds from commit to arrival of what was committed from an instant on, in ascending order. What arrived before
    /// its commit was confirmed took no time.
    func latencies(since start: UInt64) -> [Double] {
        committed.compactMap { id, commit in
            guard commit >= start, let arrival = arrived[id] else { return nil }
            return arrival > commit ? Double(arrival - commit) / 1e6 : 0
        }.sorted()
    }
}

/// A subscriber's server.
@OnLoop
final class Receiver: Handler {
    private let times: Times
    private let hangs: Bool
    private let counts: Bool

    init(_ times: Times, counts: Bool, hangs: Bool) {
        self.times = times
        self.counts = counts
        self.hangs = hangs
    }

    func respond(to request: Request, _ writer: consuming ResponseWriter) async throws {
        _ = try await request.body.collect(upTo: 1 << 20)
        if counts, let id = request.head.fields["webhook-id"] { times.arrive(id) }
        if hangs { try await Loop.sleep(for: .seconds(3600)) }
        writer.send(.noContent)
    }
}

@OnLoop
final class Load {
    private nonisolated static let lanes = 64
    /// What is committed before connections stand does not count.
    private static let warmUp: UInt64 = 2_000_000_000

    let times = Times()
    private let database: Database
    private let filler = String(repeating: "x", count: 800)

    init(_ url: String) throws {
        var configuration = DatabaseConfiguration(url, name: "bench")
        configuration.connections = 8
        database = try Database(configuration)
    }

    /// Commits so many a second, those of `hotels` counted, then waits for what is on its way.
    func run(rate: Double, seconds: Double, hotels: Int, others: Int) async throws {
        try await withThrowingDiscardingTaskGroup { group in
            group.addTask { await self.database.run() }
            let began = Loop.monotonicNanoseconds
            let start = began + Self.warmUp
            let count = Int(rate * (seconds + 2))
            try await withThrowingDiscardingTaskGroup { lanes in
                for lane in 0..<Self.lanes {
                    let numbers = stride(from: lane, to: count, by: Self.lanes)
                    lanes.addTask {
                        for number in numbers {
                            let instant = began + UInt64(Double(number) / rate * 1e9)
                            try await self.commit(number, at: instant, hotels: hotels, others: others)
                        }
                    }
                }
            }
            let end = Loop.monotonicNanoseconds
            while times.missing > 0, Loop.monotonicNanoseconds < end + 30_000_000_000 {
                try await Loop.sleep(for: .milliseconds(10))
            }
            let latencies = times.latencies(since: start)
            guard !latencies.isEmpty else { fail("nothing has arrived") }
            print("report rate \(Double(latencies.count) / (Double(end - start) / 1e9))")
            print("report p50 \(latencies[latencies.count / 2])")
            print("report p95 \(latencies[latencies.count * 95 / 100])")
            print("report missing \(times.missing)")
            print("report twice \(times.twice)")
            group.cancelAll()
        }
    }

    private func commit(_ number: Int, at instant: UInt64, hotels: Int, others: Int) async throws {
        let now = Loop.monotonicNanoseconds
        if now < instant { try await Loop.sleep(for: .nanoseconds(Int64(instant - now))) }
        let hotel = number % (hotels + others)
        let statement = Statements.commit(Int32(hotel + 1), "bench-\(number)", filler)
        guard let id = try await database.first(statement) else { fail("nothing was committed") }
        times.commit(id, at: Loop.monotonicNanoseconds, counts: hotel < hotels)
    }
}

@OnLoop
func run() async throws {
    let arguments = CommandLine.arguments
    guard (9...10).contains(arguments.count), let port = UInt16(arguments[3]), let other = UInt16(arguments[4]),
        let rate = Double(arguments[5]), let seconds = Double(arguments[6]), let hotels = Int(arguments[7]),
        let others = Int(arguments[8]), let url = getenv("DATABASE_URL")
    else {
        fail("CERTIFICATE KEY PORT OTHER-PORT RATE SECONDS HOTELS OTHER-HOTELS [hang], and DATABASE_URL")
    }
    let context = try TLSServerContext(.init(certificateChainPath: arguments[1], keyPath: arguments[2]))
    let load = try Load(String(cString: url))
    try await withThrowingDiscardingTaskGroup { group in
        for (port, counts) in [(port, true), (other, false)] {
            let hangs = !counts && arguments.last == "hang"
            let server = Server(
                name: "receiver-\(port)", configuration: .init(),
                handler: Receiver(load.times, counts: counts, hangs: hangs)
            ) { try context.makeSession() }
            let listener = try Listener(ListeningSocket(address: "0.0.0.0", port: port))
            group.addTask { await server.run(listener) }
        }
        try await load.run(rate: rate, seconds: seconds, hotels: hotels, others: others)
        exit(0)
    }
}

do { try Loop.run { try await run() } } catch { fail("\(error)") }
