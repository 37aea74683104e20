internal import Authentication
internal import HTTP
internal import JSONText
internal import Loop
internal import Telemetry

/// Keeps a worker's verifier in step with the keys that issuers publish, which the bridge fetches, and has it look once
/// more when a token names a key that nobody knows yet.
@OnLoop
final class IssuerKeySync {
    /// Requests that may wait for one look at an issuer; a further one is refused at once.
    private static let waitingBound = 256

    private let tokens: TokenVerifier
    private let algorithms: [String: Set<SignatureAlgorithm>]
    private let bridge: BridgeCalls
    private var version: Int64?
    private var gates: [String: RefetchGate] = [:]
    /// By issuer, those who wait for the look that is under way.
    private var waiting: [String: [Signal]] = [:]

    init(_ tokens: TokenVerifier, _ issuers: [TrustedIssuer], _ bridge: BridgeCalls) {
        self.tokens = tokens
        self.bridge = bridge
        algorithms = Dictionary(
            issuers.filter { !$0.keySetAlgorithms.isEmpty }.map { ($0.issuer, $0.keySetAlgorithms) },
            uniquingKeysWith: { first, _ in first })
    }

    /// Works until the task is cancelled; at once done where no issuer publishes keys.
    func run() async {
        guard !algorithms.isEmpty else { return }
        await bridge.follow("/drawbridge/issuer-keys", version: { self.version }, take: self.take)
    }

    /// Asks for keys now; for a worker that starts.
    func begin() async {
        guard !algorithms.isEmpty else { return }
        // What fails now is tried again while it runs.
        try? take(try await bridge.ask(.get, "/drawbridge/issuer-keys"))
    }

    /// Looks whether an issuer has published a key meanwhile, if it was not looked for lately.
    func look(for keyID: String, of issuer: String) async {
        if let others = waiting[issuer] {
            guard others.count < Self.waitingBound else { return }
            let signal = Signal()
            waiting[issuer]?.append(signal)
            // Whoever stops waiting asks for nothing any more.
            try? await signal.wait()
            return
        }
        guard gates[issuer, default: RefetchGate()].admit(keyID, now: Loop.monotonicNanoseconds) else { return }
        waiting[issuer] = []
        defer {
            for signal in waiting.removeValue(forKey: issuer) ?? [] { signal.fire() }
        }
        var wanted = JSONWriter()
        wanted.object { json in
            json.member("issuer", issuer)
            json.member("kid", keyID)
        }
        var hasLooked = false
        do {
            let answer = try await bridge.ask(.post, "/drawbridge/issuer-keys", content: wanted.bytes)
            let state = try JSONValue(parsing: answer)
            try take(state)
            hasLooked = state["looked"] == .bool(true)
        } catch {
            Log.debug("issuer not looked at", ["issuer": .init(issuer), "error": .init(error: error)])
        }
        // An issuer that was not asked has not said that there is no such key.
        if hasLooked, !tokens.hasKey(keyID, of: issuer) {
            gates[issuer]?.noteMissing(keyID, now: Loop.monotonicNanoseconds)
        }
    }

    private func take(_ answer: [UInt8]) throws { try take(try JSONValue(parsing: answer)) }

    private func take(_ state: JSONValue) throws {
        guard let version = state["version"]?.integer, case .array(let issuers)? = state["issuers"] else {
            throw Malformed()
        }
        guard version != self.version else { return }
        for entry in issuers {
            guard let issuer = entry["issuer"]?.string, case .array(let keySets)? = entry["key_sets"],
                let algorithms = algorithms[issuer]
            else { continue }
            // The newest set is first, and of two keys with one id the first counts.
            let keys = keySets.compactMap(\.string).flatMap { keySet in
                (try? KeySet(json: Array(keySet.utf8), algorithms: algorithms))?.keys ?? []
            }
            // A bridge that has just started and could not reach the issuer knows less than we do; one that says that
            // the time of all sets is over does not.
            if !keys.isEmpty || entry["ended"] == .bool(true) { tokens.replaceKeys(of: issuer, with: keys) }
        }
        self.version = version
    }

    private struct Malformed: Error {}
}
