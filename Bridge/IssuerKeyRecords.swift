internal import Booking
internal import Loop
internal import PMS
internal import Postgres

/// What issuers have published last, written down: what one bridge has found all others know, and a bridge that starts
/// while an issuer is away knows its keys.
@OnLoop
final class IssuerKeyRecords {
    /// A set, where it was found, and when it was asked for there, on the monotonic clock, in nanoseconds.
    struct Record: Sendable {
        let url: String
        let keySet: String
        let fetchedAt: UInt64
    }

    private let database: Database
    /// By issuer, of when the records are that were read last; nil where they are to be read.
    private var read: [String: Instant]?

    init(_ database: Database) { self.database = database }

    /// From the next time on they are told again.
    func reread() { read = nil }

    /// Writes a set down, unless one is there that was asked for later.
    func write(_ record: Record, of issuer: String) async throws {
        let age = Int64((Loop.monotonicNanoseconds - record.fetchedAt) / 1000)
        let written = try await database.execute(Statements.remember(issuer, record.url, record.keySet, age))
        if written == 0 { reread() }
    }

    /// What is written down, by issuer; nil where that is what was told before.
    func news() async throws -> [String: Record]? {
        let present = Dictionary(try await database.query(Statements.instants()), uniquingKeysWith: { $1 })
        guard present != read else { return nil }
        let records = try await database.query(Statements.all())
        read = Dictionary(records.map { ($0.issuer, $0.instant) }, uniquingKeysWith: { $1 })
        let now = Loop.monotonicNanoseconds
        return Dictionary(
            records.map { record in
                let age = min(now, UInt64(max(0, record.age)) * 1000)
                return (record.issuer, Record(url: record.url, keySet: record.keySet, fetchedAt: now - age))
            }, uniquingKeysWith: { $1 })
    }

    /// Keeps nothing of others than these issuers: one that is believed again one day would be believed by the keys of
    /// today.
    func forget(allBut issuers: [String]) async throws {
        try await database.execute(Statements.forget(issuers))
    }
}

private enum Statements {
    struct Row: Sendable {
        let issuer: String
        let url: String
        let keySet: String
        let instant: Instant
        /// In microseconds.
        let age: Int64
    }

    static let instants = Statement<(String, Instant)>(
        "bridge.key_set_instants", "SELECT issuer, fetched_at FROM drawbridge.issuer_key_sets"
    ) { row in (try row.next(), try row.next()) }

    static let all = Statement<Row>(
        "bridge.key_sets",
        """
        SELECT issuer, url, key_set, fetched_at, (extract(epoch FROM now() - fetched_at) * 1000000)::int8
        FROM drawbridge.issuer_key_sets
        """
    ) { row in
        Row(
            issuer: try row.next(), url: try row.next(), keySet: try row.next(), instant: try row.next(),
            age: try row.next())
    }

    /// The age in microseconds: clocks of bridges may differ, there is one of the database. What is of a time to come was
    /// written before that was set back, and is as old as any.
    static let remember = Statement<Void, String, String, String, Int64>(
        "bridge.remember_key_set",
        """
        INSERT INTO drawbridge.issuer_key_sets AS known (issuer, url, key_set, fetched_at)
        VALUES ($1, $2, $3, now() - $4 * INTERVAL '1 microsecond')
        ON CONFLICT (issuer) DO UPDATE
        SET url = excluded.url, key_set = excluded.key_set, fetched_at = excluded.fetched_at
        WHERE known.fetched_at < excluded.fetched_at OR known.fetched_at > now()
        """)

    static let forget = Statement<Void, [String]>(
        "bridge.forget_key_sets", "DELETE FROM drawbridge.issuer_key_sets WHERE issuer <> ALL ($1)")
}
