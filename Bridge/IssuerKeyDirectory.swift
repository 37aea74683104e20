internal import Authentication
internal import Fetch
internal import JSONText
internal import Loop
internal import Policy
internal import Postgres
internal import Telemetry

/// The keys that issuers publish, for the gateways, which must not reach out to anybody themselves.
@OnLoop
final class IssuerKeyDirectory {
    private var publishers: [String: KeyPublisher] = [:]
    private let change = Announcement()
    /// Told apart from the one of any other bridge, and of this one's next life, by the time it begins at.
    private var version = Int64(Loop.unixTime * 1_000_000)

    /// - Throws: `BridgeConfiguration.Mistake` for an address that may not be fetched.
    init(_ sources: [String: KeySetSource], _ database: Database) throws {
        for (issuer, source) in sources {
            if case .url(let url) = source.location, !Fetch.allows(url) {
                throw BridgeConfiguration.Mistake(description: "issuers.yaml: \(url) may not be fetched")
            }
            publishers[issuer] = KeyPublisher(issuer, source, database) { [unowned self] in announce() }
        }
    }

    /// Keeps the keys fresh until the task is cancelled.
    func run() async {
        await withDiscardingTaskGroup { group in
            for publisher in publishers.values { group.addTask { await publisher.run() } }
        }
    }

    /// Lets nobody wait any more; the bridge drains.
    func close() { change.close() }

    /// All issuers' key sets as JSON: at once when the state is not the one named, otherwise when it changes or patience
    /// ends.
    func state(unlike known: Int64?) async throws -> [UInt8] {
        if version == known { try await change.wait() }
        return json()
    }

    /// The same, after having looked at the issuer's once more for a key id, if that is worth it.
    func state(lookingFor keyID: String, of issuer: String) async -> [UInt8] {
        await publishers[issuer]?.look(for: keyID)
        return json()
    }

    private func announce() {
        version += 1
        change.make()
    }

    private func json() -> [UInt8] {
        var json = JSONWriter()
        json.object { json in
            json.member("version", Int(version))
            json.array("issuers", publishers.values) { json, publisher in
                json.object { json in
                    json.member("issuer", publisher.issuer)
                    json.array("key_sets", publisher.keySets) { $0.element($1) }
                }
            }
        }
        return json.bytes
    }
}

/// One issuer's published keys: the set it shows now, and for a while those it has shown before.
///
/// A set is fetched again after four fifths of the time for which it is fresh. What cannot be fetched, or is no key set,
/// changes nothing: an issuer that is away locks nobody out whose key we have.
@OnLoop
private final class KeyPublisher {
    /// How often it looks whether something is due.
    private static let tick = Duration.seconds(1)
    /// How often a file is looked at.
    private static let fileInterval = Duration.seconds(5)
    private static let firstRetry = Duration.seconds(1)
    private static let lastRetry = Duration.seconds(60)
    /// The shortest time for which a set counts as fresh, whatever its server says.
    private static let leastFreshness = Duration.seconds(60)
    /// Sets beside the current one; an issuer that changes its set more often in one overlap loses the oldest.
    private static let earlierBound = 4

    let issuer: String
    private let source: KeySetSource
    private let database: Database
    private let onChange: @OnLoop () -> Void
    private let fetch: Fetch

    private var current: String?
    private var earlier: [(keySet: String, until: UInt64)] = []
    private var retry = KeyPublisher.firstRetry
    private var gate = RefetchGate()
    private let turnstile = Turnstile(bound: 64, patience: .seconds(10))
    private var failures: Counter

    init(_ issuer: String, _ source: KeySetSource, _ database: Database, onChange: @escaping @OnLoop () -> Void) {
        self.issuer = issuer
        self.source = source
        self.database = database
        self.onChange = onChange
        var fetch = Fetch()
        fetch.maximumByteCount = KeySet.maximumByteCount
        fetch.authoritiesFile = source.authoritiesFile
        self.fetch = fetch
        failures = Metrics.counter(
            "drawbridge_bridge_issuer_key_failures_total", "Key sets that could not be had.", [("issuer", issuer)])
        Metrics.gauge("drawbridge_bridge_issuer_key_sets", "Key sets held.", [("issuer", issuer)]) { [weak self] in
            Double(self?.keySets.count ?? 0)
        }
    }

    /// The sets that count now, the current one first.
    var keySets: [String] { (current.map { [$0] } ?? []) + earlier.map(\.keySet) }

    func run() async {
        await recall()
        var next: UInt64 = 0
        while !Task.isCancelled {
            if Loop.monotonicNanoseconds >= next {
                let pause = (try? await turnstile.pass { await refresh() }) ?? Self.firstRetry
                next = Loop.monotonicNanoseconds + pause.nanoseconds
            }
            dropEnded()
            do { try await Loop.sleep(for: Self.tick) } catch { return }
        }
    }

    /// Looks once more, for a key id that is in no set we have, unless it was looked for lately.
    func look(for keyID: String) async {
        guard !holds(keyID), gate.admit(keyID, now: Loop.monotonicNanoseconds) else { return }
        _ = try? await turnstile.pass { await refresh() }
        if !holds(keyID) { gate.noteMissing(keyID, now: Loop.monotonicNanoseconds) }
    }

    private func holds(_ keyID: String) -> Bool {
        keySets.contains { keySet in
            (try? KeySet(json: Array(keySet.utf8), algorithms: Set(source.algorithms)))?
                .keys.contains { $0.keyID == keyID } == true
        }
    }

    /// Gets the set as it is now; how long it counts as fresh, or how long to wait after a failure.
    private func refresh() async -> Duration {
        do {
            let (content, freshness) = try await read()
            try await take(content)
            retry = Self.firstRetry
            return freshness
        } catch {
            if !Task.isCancelled {
                failures.increment()
                Log.warning("issuer's keys not read", ["issuer": .init(issuer), "error": .init(error: error)])
            }
            defer { retry = min(retry * 2, Self.lastRetry) }
            return retry
        }
    }

    private struct Unreadable: Error, CustomStringConvertible {
        let description: String
    }

    private func read() async throws -> ([UInt8], Duration) {
        switch source.location {
        case .file(let path):
            let content = try await Loop.offload { KeySetSource.contents(ofFile: path) }
            guard let content else { throw Unreadable(description: "\(path) cannot be read") }
            return (content, Self.fileInterval)
        case .url(let url):
            let document = try await fetch.get(url)
            let freshness = document.maximumAge.map { max(Self.leastFreshness, .seconds(min($0, 86_400))) }
            return (document.content, min(freshness ?? source.refresh, source.refresh) * 4 / 5)
        }
    }

    private func take(_ content: [UInt8]) async throws {
        let text = String(decoding: content, as: UTF8.self)
        guard text != current else { return }
        let keySet: KeySet
        do { keySet = try KeySet(json: content, algorithms: Set(source.algorithms)) } catch {
            throw Unreadable(description: "found \(error.found), expected \(error.expected)")
        }
        if let current, source.overlap > .zero {
            let overlap = UInt64(source.overlap.components.seconds) * 1_000_000_000
            earlier.insert((current, Loop.monotonicNanoseconds + overlap), at: 0)
            earlier = Array(earlier.prefix(Self.earlierBound))
        }
        current = text
        Log.info(
            "issuer's keys taken over",
            [
                "issuer": .init(issuer), "keys": .init(keySet.keys.count), "keys_omitted": .init(keySet.omittedCount),
            ])
        onChange()
        await remember(text)
    }

    private func dropEnded() {
        let now = Loop.monotonicNanoseconds
        guard earlier.contains(where: { $0.until <= now }) else { return }
        earlier.removeAll { $0.until <= now }
        onChange()
    }

    /// Takes over what was known before the bridge was started, until the issuer says something newer.
    private func recall() async {
        guard case .url(let url) = source.location else { return }
        do {
            guard let text = try await database.first(KeySetStatements.recall(issuer, url)), current == nil,
                (try? KeySet(json: Array(text.utf8), algorithms: Set(source.algorithms))) != nil
            else { return }
            current = text
            onChange()
        } catch {
            Log.debug("issuer's earlier keys not read", ["issuer": .init(issuer), "error": .init(error: error)])
        }
    }

    private func remember(_ text: String) async {
        guard case .url(let url) = source.location else { return }
        do {
            try await database.execute(KeySetStatements.remember(issuer, url, text))
        } catch {
            Log.debug("issuer's keys not written down", ["issuer": .init(issuer), "error": .init(error: error)])
        }
    }
}

private enum KeySetStatements {
    static let recall = Statement<String, String, String>(
        "bridge.recall_key_set",
        "SELECT key_set FROM drawbridge.issuer_key_sets WHERE issuer = $1 AND url = $2"
    ) { row in try row.next() }

    static let remember = Statement<Void, String, String, String>(
        "bridge.remember_key_set",
        """
        INSERT INTO drawbridge.issuer_key_sets (issuer, url, key_set) VALUES ($1, $2, $3)
        ON CONFLICT (issuer) DO UPDATE SET url = excluded.url, key_set = excluded.key_set, fetched_at = now()
        """)
}
