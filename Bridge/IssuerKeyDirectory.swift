internal import Authentication
internal import Fetch
internal import JSONText
internal import Loop
internal import Policy
internal import Postgres
internal import Telemetry

/// The keys that issuers publish, for the gateways, which must not reach out to anybody themselves.
///
/// What one bridge has found is written down before a gateway is told, and each looks there before it tells: a gateway that
/// asks one bridge after another does not unlearn a key because they have not all asked the issuer since. While the database
/// is away, each tells what it knows by itself.
@OnLoop
final class IssuerKeyDirectory {
    /// How often it looks whether something is to be written down, or was by others.
    private static let recordInterval = Duration.seconds(1)
    /// How long one who asks waits for that.
    private static let patience = Duration.seconds(1)

    private let records: IssuerKeyRecords
    // One after the other, so that nothing overtakes what was decided later.
    private var exchanges: SharedWork<String, Void, Void>!
    private var failures = LogThrottle()
    /// Whether issuers may be written down that nobody believes any more.
    private var mustForget = false
    private var publishers: [String: KeyPublisher] = [:]
    /// Those that the last change of sources has put aside, whose keys are not told: the next one may take it back.
    private var aside: [KeyPublisher] = []
    private let change = Announcement()
    /// Fired when there are other publishers.
    private let replacement = Signal()
    /// Told apart from the one of any other bridge, and of this one's next life, by the time it begins at.
    private(set) var version = Int64(Loop.unixTime * 1_000_000)
    /// The installation's own keys, as soon as they are known.
    private var own: (issuer: String, keySet: String?)?

    /// - Throws: `BridgeConfiguration.Mistake` for an address that may not be fetched.
    init(_ sources: [String: KeySetSource], _ database: Database) throws {
        records = IssuerKeyRecords(database)
        exchanges = SharedWork(atOnce: 1, bound: 1, gathering: .zero) { [unowned self] _, _ in try await exchange() }
        try replace(sources)
    }

    /// Goes by other sources: looks for the keys of those that are new, and tells none of issuers that are not among
    /// them.
    ///
    /// What is known of these, and of places where issuers published before, is kept until the next change, and taken
    /// up where that brings them back: when policies could not be put in force, their issuers may be away just then. So
    /// to confirm a change is to make it again.
    ///
    /// - Throws: `BridgeConfiguration.Mistake` for an address that may not be fetched; nothing has changed then.
    func replace(_ sources: [String: KeySetSource]) throws {
        for case .url(let url) in sources.values.map(\.location) where !Fetch.allows(url) {
            throw BridgeConfiguration.Mistake(description: "issuers.yaml: \(url) may not be fetched")
        }
        let before = publishers
        let known = aside + before.values
        publishers = [:]
        for (issuer, source) in sources {
            let publisher =
                known.first { $0.issuer == issuer && $0.location == source.location } ?? make(issuer, source)
            publisher.isAside = false
            publisher.change(to: source)
            if let former = before[issuer], former !== publisher { publisher.succeed(former) }
            publishers[issuer] = publisher
        }
        for publisher in aside where publisher !== publishers[publisher.issuer] { publisher.end() }
        aside = before.values.filter { $0 !== publishers[$0.issuer] }
        for publisher in aside { publisher.isAside = true }
        records.reread()
        mustForget = true
        replacement.fire()
        announce()
    }

    /// Tells the gateways the keys by which the installation's own tokens are believed.
    ///
    /// - Parameter keySet: a JWK Set; nil where none counts.
    func announceOwn(_ issuer: String, _ keySet: String?) {
        own = (issuer, keySet)
        announce()
    }

    /// The key sets of all issuers, the current one of each first.
    var keySets: [(issuer: String, keySets: [String])] {
        publishers.values.map { ($0.issuer, $0.keySets) }
            + (own.map { [($0.issuer, $0.keySet.map { [$0] } ?? [])] } ?? [])
    }

    private func make(_ issuer: String, _ source: KeySetSource) -> KeyPublisher {
        Metrics.gauge("drawbridge_bridge_issuer_key_sets", "Key sets held.", [("issuer", issuer)]) { [weak self] in
            // None of an issuer that nobody believes any more is nothing to be alarmed by.
            self?.publishers[issuer].map { Double($0.keySets.count) }
        }
        return KeyPublisher(issuer, source) { [unowned self] in announce() }
    }

    /// Keeps the keys fresh until the task is cancelled.
    func run() async {
        await withDiscardingTaskGroup { group in
            group.addTask { await self.exchanges.run() }
            group.addTask { await self.keepRecords() }
            repeat {
                for publisher in publishers.values where !publisher.isRunning {
                    publisher.isRunning = true
                    group.addTask { await publisher.run() }
                }
            } while (try? await replacement.wait()) != nil
        }
    }

    /// Lets nobody wait any more; the bridge drains.
    func close() { change.close() }

    /// All issuers' key sets as JSON: at once when the state is not the one named, otherwise when it changes or
    /// patience ends.
    func state(unlike known: Int64?) async throws -> [UInt8] {
        if version == known { try await change.wait() }
        await catchUp()
        return json()
    }

    /// The same, after having looked at the issuer's once more for a key id, if that is worth it; and whether it was.
    func state(lookingFor keyID: String, of issuer: String) async -> [UInt8] {
        // Another bridge may have found it already.
        await catchUp()
        let hasLooked = await publishers[issuer]?.look(for: keyID) ?? false
        await catchUp()
        return json(hasLooked: hasLooked)
    }

    /// What is told next is written down, and not older than what others have written down.
    private func catchUp() async {
        try? await Loop.withDeadline(Self.patience, "issuers' keys of other bridges") {
            try await self.exchanges("issuers' keys", ())
        }
    }

    private func keepRecords() async {
        while !Task.isCancelled {
            do { try await exchanges("issuers' keys", ()) } catch {
                if !Task.isCancelled, let omitted = failures.admit(at: Loop.monotonicNanoseconds) {
                    Log.warning(
                        "issuers' keys not written down",
                        ["error": .init(error: error), "lines_omitted": .init(omitted)])
                }
            }
            do { try await Loop.sleep(for: Self.recordInterval) } catch { return }
        }
    }

    /// Writes down what was found here, and takes over what others have found. What fails is tried again the next time.
    private func exchange() async throws {
        guard mustForget || publishers.values.contains(where: \.isRecorded) else { return }
        for publisher in publishers.values {
            guard let news = publisher.news else { continue }
            try await records.write(news, of: publisher.issuer)
            publisher.noteWritten(news)
        }
        if let written = try await records.news() {
            for publisher in publishers.values {
                if let record = written[publisher.issuer] { publisher.learn(record) } else { publisher.noteForgotten() }
            }
        }
        if mustForget { try await forget() }
    }

    private func forget() async throws {
        mustForget = false
        // Where an issuer publishes elsewhere since lately, the old set stays until there is a new one.
        do { try await records.forget(allBut: (aside + publishers.values).filter(\.isRecorded).map(\.issuer)) } catch {
            mustForget = true
            throw error
        }
    }

    private func announce() {
        version += 1
        change.make()
    }

    /// Whether no set of an issuer counts any more.
    private func hasEnded(_ issuer: String) -> Bool {
        if let own, own.issuer == issuer { return own.keySet == nil }
        // Not while the change may be taken back.
        return publishers[issuer]?.hasEnded == true && !aside.contains { $0.issuer == issuer }
    }

    private func json(hasLooked: Bool? = nil) -> [UInt8] {
        var json = JSONWriter()
        json.object { json in
            json.member("version", Int(version))
            if let hasLooked { json.member("looked", hasLooked) }
            json.array("issuers", keySets) { json, entry in
                json.object { json in
                    json.member("issuer", entry.issuer)
                    json.array("key_sets", entry.keySets) { $0.element($1) }
                    if hasEnded(entry.issuer) { json.member("ended", true) }
                }
            }
        }
        return json.bytes
    }
}
