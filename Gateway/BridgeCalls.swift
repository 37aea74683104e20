internal import Authentication
internal import Client
internal import Cryptography
internal import HTTP
internal import JSONText
internal import Loop
internal import Telemetry

/// What a worker asks of the bridge of its own accord, outside of the pool that clients' requests share.
@OnLoop
final class BridgeCalls {
    /// How long a request may take; the bridge answers one that waits for a change after 20 s at the latest.
    private static let patience = Duration.seconds(25)
    /// How long to wait after a failure.
    private static let rest = Duration.milliseconds(250)
    /// Bytes of an answer: as many revoked tokens as the database holds, each with the longest id and issuer, or
    /// `APIKeyRing.maximumCount` keys with every scope.
    private static let answerBound = 16 << 20

    private let hop: HopIdentity
    private let bridge: Endpoint
    private var failures = LogThrottle()

    init(_ hop: HopIdentity, bridge: Endpoint) {
        self.hop = hop
        self.bridge = bridge
    }

    /// Keeps a request open at the bridge that is answered when a state changes, until the task is cancelled.
    ///
    /// - Parameters:
    ///   - version: which state is known; nil for none.
    ///   - take: given each answer.
    func follow(
        _ path: String, version: @OnLoop () -> Int64?, take: @OnLoop ([UInt8]) async throws -> Void
    ) async {
        while !Task.isCancelled {
            do {
                try await take(try await ask(.get, path + (version().map { "?version=\($0)" } ?? "")))
            } catch {
                if Task.isCancelled { return }
                if let omitted = failures.admit(at: Loop.monotonicNanoseconds) {
                    Log.warning(
                        "bridge does not say what changed",
                        ["path": .init(path), "error": .init(error: error), "lines_omitted": .init(omitted)])
                }
                do { try await Loop.sleep(for: Self.rest) } catch { return }
            }
        }
    }

    /// Makes one request, with the proof that it is a gateway's own.
    func ask(_ method: Method, _ path: String, content: [UInt8] = []) async throws -> [UInt8] {
        guard let target = RequestTarget(path, authority: "bridge") else { preconditionFailure("a path of our own") }
        let id = Hexadecimal.encode(SecureRandom.bytes(16))
        var head = RequestHead(method: method, target: target, keepAlive: false)
        if method == .post { head.framing = .length(UInt64(content.count)) }
        head.fields.append(.xRequestID, id)
        head.fields.append(
            .drawbridgeIdentity,
            hop.signOwn(requestID: id, method: method.rawValue, target: path, now: Loop.unixSeconds))
        var request: [UInt8] = []
        head.append(to: &request)
        return try await Exchange.single(
            request + content, method: method, to: bridge, limits: MessageLimits(body: UInt64(Self.answerBound)),
            timeout: Self.patience
        ) { exchange in
            guard exchange.head.status == .ok else { throw Refused(status: exchange.head.status) }
            return try await exchange.content(upTo: Self.answerBound)
        }
    }

    private struct Refused: Error {
        let status: Status
    }
}
