internal import Loop
internal import Postgres
internal import Telemetry

/// What issuers have published last, written down: a bridge that starts while an issuer is away knows its keys.
///
/// One task reads and writes it all, so that nothing overtakes what was decided later.
@OnLoop
final class IssuerKeyRecords {
    /// A set, and where it was found.
    struct Record: Sendable, Equatable {
        let url: String
        let keySet: String
    }

    private let database: Database
    /// By issuer, as far as it is known; nil where it is to be read.
    private var records: [String: Record]?
    private var failures = LogThrottle()

    init(_ database: Database) { self.database = database }

    /// From the next time on they are read again; other bridges may have written meanwhile.
    func reread() { records = nil }

    /// Reads what is written down, if that is to be done, and writes what is to be. What fails is tried again the next
    /// time.
    ///
    /// - Parameters:
    ///   - recall: given what has been read.
    ///   - wanted: by issuer, what is to be written down, nil for what is. Of other issuers nothing is kept: one that
    ///     is believed again one day would be believed by the keys of today.
    func keep(recall: ([String: Record]) -> Void, wanted: () -> [String: Record?]) async {
        do {
            if records == nil {
                let read = try await database.query(Statements.all())
                let known = Dictionary(read.map { ($0.issuer, $0.record) }, uniquingKeysWith: { first, _ in first })
                records = known
                recall(known)
            }
            try await write(wanted())
        } catch {
            guard !Task.isCancelled, let omitted = failures.admit(at: Loop.monotonicNanoseconds) else { return }
            Log.warning(
                "issuers' keys not written down", ["error": .init(error: error), "lines_omitted": .init(omitted)])
        }
    }

    private func write(_ wanted: [String: Record?]) async throws {
        for (issuer, record) in wanted {
            guard let record, record != records?[issuer] else { continue }
            try await database.execute(Statements.remember(issuer, record.url, record.keySet))
            records?[issuer] = record
        }
        for issuer in records?.keys.filter({ wanted[$0] == nil }) ?? [] {
            try await database.execute(Statements.forget(issuer))
            records?[issuer] = nil
        }
    }
}

private enum Statements {
    static let all = Statement<(issuer: String, record: IssuerKeyRecords.Record)>(
        "bridge.recall_key_sets", "SELECT issuer, url, key_set FROM drawbridge.issuer_key_sets"
    ) { row in (try row.next(), IssuerKeyRecords.Record(url: try row.next(), keySet: try row.next())) }

    static let remember = Statement<Void, String, String, String>(
        "bridge.remember_key_set",
        """
        INSERT INTO drawbridge.issuer_key_sets (issuer, url, key_set) VALUES ($1, $2, $3)
        ON CONFLICT (issuer) DO UPDATE SET url = excluded.url, key_set = excluded.key_set, fetched_at = now()
        """)

    static let forget = Statement<Void, String>(
        "bridge.forget_key_set", "DELETE FROM drawbridge.issuer_key_sets WHERE issuer = $1")
}
