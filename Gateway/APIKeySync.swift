internal import Authentication
internal import Client
internal import Cryptography
internal import HTTP
internal import JSONText
internal import Loop
internal import Telemetry

/// Keeps a worker's API keys those of the database: asks the bridge for changes, one request waiting for the next one all
/// the time, and tells it now and then which keys were used.
@OnLoop
final class APIKeySync {
    /// How long a request for changes may take; the bridge answers after 20 s at the latest.
    private static let patience = Duration.seconds(25)
    /// How long to wait after a failure.
    private static let rest = Duration.milliseconds(250)
    /// How often uses are reported, and how many in one request.
    private static let reportInterval = Duration.seconds(5)
    private static let reportBound = 1000
    /// How long a starting worker waits for its first keys. Without them it serves all the same: tokens need none.
    private static let startPatience = Duration.seconds(2)
    /// Bytes of an answer: `APIKeyRing.maximumCount` keys, each with every scope and a long name.
    private static let answerBound: UInt64 = 8 << 20

    private let ring: APIKeyRing
    private let hop: HopIdentity
    private let bridge: Endpoint
    private let firstKeys = Signal()
    private var failures = LogThrottle()

    init(_ ring: APIKeyRing, _ hop: HopIdentity, bridge: Endpoint) {
        self.ring = ring
        self.hop = hop
        self.bridge = bridge
        Metrics.gauge("drawbridge_gateway_api_keys", "API keys held.") { Double(ring.count) }
        Metrics.gauge("drawbridge_gateway_api_keys_fresh", "1 while the API keys held may be believed.") {
            ring.isFresh(at: Loop.monotonicNanoseconds) ? 1 : 0
        }
    }

    /// Works until the task is cancelled.
    func run() async {
        await withDiscardingTaskGroup { group in
            group.addTask { await self.followChanges() }
            group.addTask { await self.report() }
        }
    }

    /// Returns when the first keys are here, or have not come for a while.
    func waitForKeys() async {
        let deadline = Deadline { self.firstKeys.fire() }
        deadline.set(Self.startPatience)
        defer { deadline.cancel() }
        try? await firstKeys.wait()
    }

    /// Tells the bridge which keys were used since the last time.
    func reportUses() async {
        var uses = ring.takeUses()
        while !uses.isEmpty {
            let part = uses.prefix(Self.reportBound)
            var json = "{"
            for (id, seconds) in part { json += "\(json.utf8.count > 1 ? "," : "")\"\(id)\":\(seconds)" }
            do {
                _ = try await ask(.post, "/drawbridge/api-keys/uses", content: Array("\(json)}".utf8))
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

    private func followChanges() async {
        while !Task.isCancelled {
            do {
                let query = ring.version.map { "?version=\($0)" } ?? ""
                let answer = try await ask(.get, "/drawbridge/api-keys\(query)")
                try await take(answer)
                firstKeys.fire()
            } catch {
                if Task.isCancelled { return }
                if let omitted = failures.admit(at: Loop.monotonicNanoseconds) {
                    Log.warning("API keys not read", ["error": .init(error: error), "lines_omitted": .init(omitted)])
                }
                do { try await Loop.sleep(for: Self.rest) } catch { return }
            }
        }
    }

    private func take(_ answer: [UInt8]) async throws {
        let received = Loop.monotonicNanoseconds
        // Ten thousand keys take some milliseconds to read.
        let state = try await Loop.offload { try APIKeyState(json: answer) }
        let confirmedAt = received - min(received, state.age)
        if let keys = state.keys {
            ring.replace(with: keys, version: state.version, confirmedAt: confirmedAt)
            Log.info("API keys taken over", ["keys": .init(keys.count), "version": .init(state.version)])
        } else if state.version == ring.version {
            ring.confirm(at: confirmedAt)
        }
    }

    /// Makes one request of the gateway's own, on a connection outside of the pool that clients' requests share.
    private func ask(_ method: Method, _ path: String, content: [UInt8] = []) async throws -> [UInt8] {
        guard let target = RequestTarget(path, authority: "bridge") else { preconditionFailure("a path of our own") }
        let id = Hexadecimal.encode(SecureRandom.bytes(16))
        var head = RequestHead(method: method, target: target, keepAlive: false)
        if method == .post { head.framing = .length(UInt64(content.count)) }
        head.fields.append(.xRequestID, id)
        head.fields.append(
            .drawbridgeIdentity,
            hop.signOwn(requestID: id, method: method.rawValue, target: path, now: Int64(Loop.unixTime)))
        var request: [UInt8] = []
        head.append(to: &request)
        return try await Exchange.single(
            request + content, method: method, to: bridge, limits: MessageLimits(body: Self.answerBound),
            timeout: Self.patience
        ) { exchange in
            guard exchange.head.status == .ok else { throw Refused(status: exchange.head.status) }
            return try await exchange.content(upTo: Int(Self.answerBound))
        }
    }

    private struct Refused: Error {
        let status: Status
    }
}

/// What the bridge says about the keys.
private struct APIKeyState: Sendable {
    let version: Int64
    /// Nanoseconds since the database confirmed it.
    let age: UInt64
    /// `nil` where they are those that are held already.
    let keys: [APIKeyRing.Entry]?

    struct Malformed: Error {}

    init(json: [UInt8]) throws {
        let state = try JSONValue(parsing: json)
        guard let version = state["version"]?.integer, let age = state["age_ms"]?.integer, 0...1 << 40 ~= age else {
            throw Malformed()
        }
        self.version = version
        self.age = UInt64(age) * 1_000_000
        guard let keys = state["keys"] else {
            self.keys = nil
            return
        }
        guard case .array(let keys) = keys else { throw Malformed() }
        self.keys = try keys.map { try Self.entry($0) }
    }

    private static func entry(_ key: JSONValue) throws -> APIKeyRing.Entry {
        guard let id = key["id"]?.integer.flatMap({ Int32(exactly: $0) }), let client = key["client"]?.string,
            let hash = key["hash"]?.string.flatMap({ Hexadecimal.decode($0) }), let hash = Digest256(hash.span),
            case .array(let scopes)? = key["scopes"], let expiresAt = key["expires_at"]?.integer
        else { throw Malformed() }
        let hotels: HotelAccess
        switch key["hotel_id"] {
        case .null?: hotels = .all
        case .integer(let id)?: hotels = Int32(exactly: id).map { .of([$0]) } ?? .none
        // No hotel named is not every hotel.
        default: throw Malformed()
        }
        return APIKeyRing.Entry(
            id: id, hash: hash, client: client,
            // A scope that somebody wrote into the database and that there is not grants nothing.
            scopes: Scopes(scopes.compactMap { $0.string.flatMap(Scope.init(rawValue:)) }), hotelIDs: hotels,
            expiresAt: expiresAt)
    }
}
