internal import Authentication
internal import Fetch
internal import Loop
internal import Policy
internal import Postgres
internal import Telemetry

/// One issuer's published keys, kept fresh.
@OnLoop
final class KeyPublisher {
    /// How often it looks whether something is due.
    private static let tick = Duration.seconds(1)
    /// How often a file is looked at.
    private static let fileInterval = Duration.seconds(5)

    let issuer: String
    private var source: KeySetSource
    private let database: Database
    private let onChange: @OnLoop () -> Void

    private var published: PublishedKeySets
    private var gate = RefetchGate()
    private let turnstile = Turnstile(bound: 64, patience: .seconds(10))
    private let failures: Counter
    private var isEnded = false
    /// Whether a task keeps it fresh.
    var isRunning = false

    init(_ issuer: String, _ source: KeySetSource, _ database: Database, onChange: @escaping @OnLoop () -> Void) {
        self.issuer = issuer
        self.source = source
        self.database = database
        self.onChange = onChange
        published = PublishedKeySets(source.terms)
        failures = Metrics.counter(
            "drawbridge_bridge_issuer_key_failures_total", "Key sets that could not be had.", [("issuer", issuer)])
        Metrics.gauge("drawbridge_bridge_issuer_key_sets", "Key sets held.", [("issuer", issuer)]) { [weak self] in
            Double(self?.keySets.count ?? 0)
        }
    }

    /// The sets that count now, the current one first.
    var keySets: [String] { published.keySets }

    /// Keeps the keys fresh until the task is cancelled or the issuer is believed no more.
    func run() async {
        await recall()
        while !Task.isCancelled, !isEnded {
            if Loop.monotonicNanoseconds >= published.due { _ = try? await turnstile.pass { await refresh() } }
            if published.dropEnded(now: Loop.monotonicNanoseconds) { onChange() }
            do { try await Loop.sleep(for: Self.tick) } catch { return }
        }
        if isEnded { await forget() }
    }

    /// Finds the keys elsewhere or goes by other terms from now on.
    func change(to source: KeySetSource) {
        guard source != self.source else { return }
        let isElsewhere = source.location != self.source.location
        self.source = source
        published.change(to: source.terms, isElsewhere: isElsewhere, now: Loop.monotonicNanoseconds)
    }

    /// The issuer is believed no more.
    func end() { isEnded = true }

    /// Looks once more, for a key id that is in no set we have, unless it was looked for lately.
    func look(for keyID: String) async {
        guard !published.holds(keyID), gate.admit(keyID, now: Loop.monotonicNanoseconds) else { return }
        _ = try? await turnstile.pass { await refresh() }
        if !published.holds(keyID) { gate.noteMissing(keyID, now: Loop.monotonicNanoseconds) }
    }

    /// Gets the set as it is now.
    private func refresh() async {
        let source = source
        do {
            let (content, interval) = try await read(source)
            // Meanwhile the issuer may have been found to publish elsewhere.
            guard source == self.source, !isEnded else { return }
            try await take(content, interval)
        } catch {
            guard !Task.isCancelled, source == self.source else { return }
            published.failed(now: Loop.monotonicNanoseconds)
            failures.increment()
            Log.warning("issuer's keys not read", ["issuer": .init(issuer), "error": .init(error: error)])
        }
    }

    private struct Unreadable: Error, CustomStringConvertible {
        let description: String
    }

    private func read(_ source: KeySetSource) async throws -> (content: [UInt8], interval: Duration) {
        switch source.location {
        case .file(let path):
            let content = try await Loop.offload { KeySetSource.contents(ofFile: path) }
            guard let content else { throw Unreadable(description: "\(path) cannot be read") }
            return (content, Self.fileInterval)
        case .url(let url):
            var fetch = Fetch()
            fetch.maximumByteCount = KeySet.maximumByteCount
            fetch.authoritiesFile = source.authoritiesFile
            let document = try await fetch.get(url)
            return (document.content, published.interval(maximumAge: document.maximumAge))
        }
    }

    private func take(_ content: [UInt8], _ interval: Duration) async throws {
        let new: KeySet?
        do throws(KeyRefusal) {
            new = try published.take(content, lookingAgainAfter: interval, now: Loop.monotonicNanoseconds)
        } catch {
            throw Unreadable(description: "found \(error.found), expected \(error.expected)")
        }
        guard let new else { return }
        Log.info(
            "issuer's keys taken over",
            ["issuer": .init(issuer), "keys": .init(new.keys.count), "keys_omitted": .init(new.omittedCount)])
        onChange()
        await remember(String(decoding: content, as: UTF8.self))
    }

    // MARK: Across restarts

    /// Takes over what was known before the bridge was started, until the issuer says something newer.
    private func recall() async {
        guard case .url(let url) = source.location else { return }
        do {
            guard let text = try await database.first(KeySetStatements.recall(issuer, url)) else { return }
            if published.recall(text) { onChange() }
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

    /// Or an issuer that is believed again one day would be believed by the keys of today.
    private func forget() async {
        do { try await database.execute(KeySetStatements.forget(issuer)) } catch {
            Log.warning("issuer's keys not forgotten", ["issuer": .init(issuer), "error": .init(error: error)])
        }
    }
}

extension KeySetSource {
    fileprivate var terms: PublishedKeySets.Terms {
        PublishedKeySets.Terms(algorithms: Set(algorithms), refresh: refresh, overlap: overlap)
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

    static let forget = Statement<Void, String>(
        "bridge.forget_key_set", "DELETE FROM drawbridge.issuer_key_sets WHERE issuer = $1")
}
