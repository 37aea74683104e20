internal import JSONText
internal import Loop
internal import Postgres
internal import Telemetry

/// Rows of the database that every gateway holds in memory and must know the changes of at once: API keys, revoked
/// tokens.
///
/// It looks four times a second whether they have changed, and wakes the gateways that wait for that; so what was
/// revoked opens nothing a good quarter of a second later, on every machine. While the database is away it goes on
/// saying what it knows, and how old that is: how long to believe it is the gateways' policy.
@OnLoop
final class FollowedRows<Row: Sendable> {
    /// What is followed.
    struct Source: Sendable {
        /// What the rows are, for the log.
        let name: String
        /// The number that every change raises.
        let version: Query<Int64>
        /// All rows, and in the same look the version they are of; one without a row where there is none.
        let rows: Query<(version: Int64, row: Row?)>
    }

    /// How often it looks.
    private let interval = Duration.milliseconds(250)

    private let database: Database
    private let source: Source
    /// Which state of the rows is known; nil before the first.
    private(set) var version: Int64?
    private(set) var rows: [Row] = []
    /// When the database had them last, on the monotonic clock, in nanoseconds.
    private(set) var confirmedAt: UInt64 = 0
    private let change = Announcement()
    // One after the other, so that of two readings the later one counts.
    private var looks: SharedWork<String, Void, Void>!
    private var failures = LogThrottle()

    init(_ database: Database, _ source: Source) {
        self.database = database
        self.source = source
        looks = SharedWork(atOnce: 1, bound: 1, gathering: .zero) { [unowned self] _, _ in try await read() }
    }

    /// Looks until the task is cancelled. What fails is tried again at the next look.
    ///
    /// - Parameter looked: called after each look that told the rows; what fails there is tried again, too.
    func run(_ looked: @escaping @Sendable @OnLoop () async throws -> Void = {}) async {
        await withDiscardingTaskGroup { group in
            group.addTask { await self.looks.run() }
            group.addTask { await self.follow(looked) }
        }
    }

    private func follow(_ looked: @OnLoop () async throws -> Void) async {
        while !Task.isCancelled {
            do {
                try await look()
                do { try await looked() } catch { note(error, "what gateways follow not kept in order") }
            } catch { note(error, "what gateways follow not read") }
            do { try await Loop.sleep(for: interval) } catch { return }
        }
    }

    private func note(_ error: any Error, _ message: StaticString) {
        guard !Task.isCancelled, let omitted = failures.admit(at: Loop.monotonicNanoseconds) else { return }
        Log.warning(
            message,
            ["rows": .init(source.name), "error": .init(error: error), "lines_omitted": .init(omitted)])
    }

    /// Lets nobody wait any more; the bridge drains.
    func close() { change.close() }

    /// The state as JSON: at once when it is not the one named, otherwise when it changes or patience ends.
    ///
    /// - Parameter write: adds the rows; asked where the gateway does not have them.
    /// - Throws: what a look does, where the gateway knows another state and it cannot be seen whether that is older.
    func state(unlike known: Int64?, _ write: (inout JSONWriter, [Row]) -> Void) async throws -> [UInt8] {
        // A gateway that knows another state may have it from another bridge, which has looked since we did. It must not
        // unlearn what that one has told it: a key that was revoked would be good again.
        if let known, known != version { try await look() }
        if version == known { try await change.wait() }
        var json = JSONWriter()
        json.object { json in
            json.member("version", version.map { Int($0) })
            json.member("age_ms", Int((Loop.monotonicNanoseconds - confirmedAt) / 1_000_000))
            if version != known, version != nil { write(&json, rows) }
        }
        return json.bytes
    }

    /// Looks once, out of turn, together with others who want a look that begins from now on.
    func look() async throws { try await looks(source.name, ()) }

    private func read() async throws {
        let began = Loop.monotonicNanoseconds
        let current = try await database.first(source.version)
        if current != version {
            let read = try await database.query(source.rows)
            rows = read.compactMap(\.row)
            version = read.first?.version ?? current
            Log.info(
                "what gateways follow read",
                ["rows": .init(source.name), "count": .init(rows.count), "version": .init(version ?? 0)])
            change.make()
        }
        confirmedAt = began
    }
}
