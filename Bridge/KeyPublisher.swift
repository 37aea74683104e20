internal import Authentication
internal import Fetch
internal import Loop
internal import Policy
internal import Telemetry

/// The keys that one issuer publishes in one place, kept fresh.
@OnLoop
final class KeyPublisher {
    /// How often it looks whether something is due.
    private static let tick = Duration.seconds(1)
    /// How often a file is looked at.
    private static let fileInterval = Duration.seconds(5)

    let issuer: String
    private var source: KeySetSource
    private let onChange: @OnLoop () -> Void

    private var published: PublishedKeySets
    private var gate = RefetchGate()
    private let turnstile = Turnstile(bound: 64, patience: .seconds(10))
    private let failures: Counter
    private var isEnded = false
    /// When what counts now was asked for, by whichever bridge, on the monotonic clock, in nanoseconds.
    private var fetchedAt: UInt64 = 0
    /// Whether this bridge has fetched it, and others cannot know yet.
    private var isNews = false
    /// Whether a task keeps it fresh.
    var isRunning = false
    /// Whether nobody goes by it now, and perhaps again soon.
    var isAside = false

    init(_ issuer: String, _ source: KeySetSource, onChange: @escaping @OnLoop () -> Void) {
        self.issuer = issuer
        self.source = source
        self.onChange = onChange
        published = PublishedKeySets(source.terms)
        failures = Metrics.counter(
            "drawbridge_bridge_issuer_key_failures_total", "Key sets that could not be had.", [("issuer", issuer)])
    }

    /// The sets that count now, the current one first.
    var keySets: [String] { published.keySets }

    /// Whether there were sets, and none counts any more.
    var hasEnded: Bool { published.hasEnded }

    /// Where the issuer publishes them.
    var location: KeySetSource.Location { source.location }

    /// Keeps the keys fresh until the task is cancelled or the issuer is believed no more.
    func run() async {
        while !Task.isCancelled, !isEnded {
            if !isAside, Loop.monotonicNanoseconds >= published.due {
                _ = try? await turnstile.pass { await refresh() }
            }
            if published.dropEnded(now: Loop.monotonicNanoseconds) { onChange() }
            do { try await Loop.sleep(for: Self.tick) } catch { return }
        }
    }

    /// Goes by other terms from now on.
    ///
    /// - Parameter source: the same place.
    func change(to source: KeySetSource) {
        guard source != self.source else { return }
        self.source = source
        published.change(to: source.terms, now: Loop.monotonicNanoseconds)
    }

    /// Takes the place of the publisher by which the issuer was believed until now.
    func succeed(_ other: KeyPublisher) {
        _ = published.dropEnded(now: Loop.monotonicNanoseconds)
        published.succeed(other.published, now: Loop.monotonicNanoseconds)
    }

    /// The issuer is believed no more.
    func end() { isEnded = true }

    /// Looks once more, for a key id that is in no set we have, unless it was looked for lately.
    ///
    /// - Returns: whether the issuer has answered.
    func look(for keyID: String) async -> Bool {
        guard !published.holds(keyID), gate.admit(keyID, now: Loop.monotonicNanoseconds) else { return false }
        guard (try? await turnstile.pass({ await refresh() })) == true else { return false }
        if !published.holds(keyID) { gate.noteMissing(keyID, now: Loop.monotonicNanoseconds) }
        return true
    }

    /// Gets the set as it is now.
    ///
    /// - Returns: whether it could be had.
    @discardableResult
    private func refresh() async -> Bool {
        let source = source
        let began = Loop.monotonicNanoseconds
        do {
            let (content, interval) = try await read(source)
            // Meanwhile there may be other terms.
            guard source == self.source, !isEnded else { return false }
            try take(content, interval, began)
            return true
        } catch {
            guard !Task.isCancelled, source == self.source else { return false }
            published.failed(now: Loop.monotonicNanoseconds)
            failures.increment()
            Log.warning("issuer's keys not read", ["issuer": .init(issuer), "error": .init(error: error)])
            return false
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

    private func take(_ content: [UInt8], _ interval: Duration, _ began: UInt64) throws {
        let new: KeySet?
        do throws(KeyRefusal) {
            new = try published.take(content, lookingAgainAfter: interval, now: Loop.monotonicNanoseconds)
        } catch {
            throw Unreadable(description: "found \(error.found), expected \(error.expected)")
        }
        guard let new else { return }
        (fetchedAt, isNews) = (began, true)
        Log.info(
            "issuer's keys taken over",
            ["issuer": .init(issuer), "keys": .init(new.keys.count), "keys_omitted": .init(new.omittedCount)])
        onChange()
    }

    // MARK: Across bridges and restarts

    /// Whether the sets are to be written down: a file is there anyway.
    var isRecorded: Bool { if case .url = location { true } else { false } }

    /// What others are to know; nil where it is nothing, or written down.
    var news: IssuerKeyRecords.Record? {
        guard isNews, case .url(let url) = location, let keySet = published.current else { return nil }
        return .init(url: url, keySet: keySet, fetchedAt: fetchedAt)
    }

    /// It is written down, or something newer is.
    func noteWritten(_ record: IssuerKeyRecords.Record) {
        if published.current == record.keySet { isNews = false }
    }

    /// Nothing is written down any more; it is to be written again.
    func noteForgotten() { isNews = published.current != nil }

    /// Takes over what is written down: by another bridge, or before this one was started.
    func learn(_ record: IssuerKeyRecords.Record) {
        // Which of the two is newer shows when ours is written down.
        guard !isNews else { return }
        if location == .url(record.url) {
            guard published.learn(record.keySet, now: Loop.monotonicNanoseconds) else { return }
            fetchedAt = record.fetchedAt
            Log.info("issuer's keys learnt from what is written down", ["issuer": .init(issuer)])
            onChange()
        } else if published.current == nil {
            published.noteEarlierPlace()
            onChange()
        }
    }
}

extension KeySetSource {
    fileprivate var terms: PublishedKeySets.Terms {
        PublishedKeySets.Terms(algorithms: Set(algorithms), refresh: refresh, overlap: overlap)
    }
}
