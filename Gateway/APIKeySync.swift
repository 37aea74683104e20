internal import Authentication
internal import Cryptography
internal import HTTP
internal import JSONText
internal import Loop
internal import Telemetry

/// Keeps a worker's API keys those of the database: asks the bridge for changes, one request waiting for the next one
/// all the time, and tells it now and then which keys were used.
@OnLoop
final class APIKeySync {
    /// How often uses are reported, and how many in one request.
    private static let reportInterval = Duration.seconds(5)
    private static let reportBound = 1000

    private let ring: APIKeyRing
    private let bridge: BridgeCalls

    init(_ ring: APIKeyRing, _ bridge: BridgeCalls) {
        self.ring = ring
        self.bridge = bridge
        Metrics.gauge("drawbridge_gateway_api_keys", "API keys held.") { Double(ring.count) }
        Metrics.gauge("drawbridge_gateway_api_keys_fresh", "1 while the API keys held may be believed.") {
            ring.isFresh(at: Loop.monotonicNanoseconds) ? 1 : 0
        }
    }

    /// Works until the task is cancelled.
    func run() async {
        await withDiscardingTaskGroup { group in
            group.addTask {
                await self.bridge.follow("/drawbridge/api-keys", version: { self.ring.version }, take: self.take)
            }
            group.addTask { await self.report() }
        }
    }

    /// Asks for keys now; for a worker that starts.
    func begin() async {
        // What fails now is tried again while it runs.
        try? await take(try await bridge.ask(.get, "/drawbridge/api-keys"))
    }

    /// Tells the bridge which keys were used since the last time.
    func reportUses() async {
        var uses = ring.takeUses()
        while !uses.isEmpty {
            let part = uses.prefix(Self.reportBound)
            var json = "{"
            for (id, seconds) in part { json += "\(json.utf8.count > 1 ? "," : "")\"\(id)\":\(seconds)" }
            do {
                _ = try await bridge.ask(.post, "/drawbridge/api-keys/uses", content: Array("\(json)}".utf8))
            } catch {
                // The next report has them again; nobody waits for this.
                return ring.putBack(uses)
            }
            for (id, _) in part { uses[id] = nil }
        }
    }

    private func report() async {
        while !Task.isCancelled {
            do { try await Loop.sleep(for: Self.reportInterval) } catch { return }
            await reportUses()
        }
    }

    private func take(_ answer: [UInt8]) async throws {
        let received = Loop.monotonicNanoseconds
        // Ten thousand keys take some milliseconds to read.
        let state = try await Loop.offload {
            try FollowedState(json: answer, member: "keys", APIKeyRing.Entry.init(json:))
        }
        let confirmedAt = state.confirmedAt(received: received)
        if let keys = state.rows {
            ring.replace(with: keys, version: state.version, confirmedAt: confirmedAt)
            Log.info("API keys taken over", ["keys": .init(keys.count), "version": .init(state.version)])
        } else if state.version == ring.version {
            ring.confirm(at: confirmedAt)
        }
    }
}

extension APIKeyRing.Entry {
    /// Reads a key as the bridge writes it.
    fileprivate init(json key: JSONValue) throws {
        guard let id = key["id"]?.integer.flatMap({ Int32(exactly: $0) }), let client = key["client"]?.string,
            let hash = key["hash"]?.string.flatMap({ Hexadecimal.decode($0) }), let hash = Digest256(hash.span),
            case .array(let scopes)? = key["scopes"], let expiresAt = key["expires_at"]?.integer
        else { throw FollowedState<Self>.Malformed() }
        let hotels: HotelAccess
        switch key["hotel_id"] {
        case .null?: hotels = .all
        case .integer(let id)?: hotels = Int32(exactly: id).map { .of([$0]) } ?? .none
        // No hotel named is not every hotel.
        default: throw FollowedState<Self>.Malformed()
        }
        self.init(
            id: id, hash: hash, client: client,
            // A scope that somebody wrote into the database and that there is not grants nothing.
            scopes: Scopes(scopes.compactMap { $0.string.flatMap(Scope.init(rawValue:)) }), hotelIDs: hotels,
            expiresAt: expiresAt)
    }
}
