internal import Authentication
internal import Fetch
internal import JSONText
internal import Loop
internal import Policy
internal import Postgres

/// The keys that issuers publish, for the gateways, which must not reach out to anybody themselves.
@OnLoop
final class IssuerKeyDirectory {
    private let database: Database
    private var publishers: [String: KeyPublisher] = [:]
    private let change = Announcement()
    /// Fired when there are other publishers.
    private let replacement = Signal()
    /// Told apart from the one of any other bridge, and of this one's next life, by the time it begins at.
    private var version = Int64(Loop.unixTime * 1_000_000)

    /// - Throws: `BridgeConfiguration.Mistake` for an address that may not be fetched.
    init(_ sources: [String: KeySetSource], _ database: Database) throws {
        self.database = database
        try replace(sources)
    }

    /// Goes by other sources: keys of issuers that are not among them are forgotten, those of new ones are looked for.
    ///
    /// - Throws: `BridgeConfiguration.Mistake` for an address that may not be fetched; nothing has changed then.
    func replace(_ sources: [String: KeySetSource]) throws {
        for case .url(let url) in sources.values.map(\.location) where !Fetch.allows(url) {
            throw BridgeConfiguration.Mistake(description: "issuers.yaml: \(url) may not be fetched")
        }
        for (issuer, publisher) in publishers where sources[issuer] == nil {
            publisher.end()
            publishers[issuer] = nil
        }
        for (issuer, source) in sources {
            if let publisher = publishers[issuer] {
                publisher.change(to: source)
            } else {
                publishers[issuer] = KeyPublisher(issuer, source, database) { [unowned self] in announce() }
            }
        }
        replacement.fire()
        announce()
    }

    /// Keeps the keys fresh until the task is cancelled.
    func run() async {
        await withDiscardingTaskGroup { group in
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
