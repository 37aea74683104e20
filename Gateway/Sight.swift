internal import Audit
internal import HTTP
internal import Loop
internal import Policy
internal import Server
internal import Telemetry

/// One line in the process's log for each request, as far as the policy wants them.
@OnLoop
final class AccessLog {
    private let policy: GatewayPolicy.AccessLog
    private let buffer = LogBuffer(message: "request")
    private var hash: KeyedHash

    /// - Parameter hashKey: for what must be found and not read.
    init(_ policy: GatewayPolicy.AccessLog, hashKey: [UInt8]) throws {
        self.policy = policy
        hash = try KeyedHash.make(key: hashKey.span)
    }

    func write(_ line: AccessLine, time: Int64) {
        switch policy {
        case .off: return
        case .failures where !line.isFailure: return
        case .failures, .all: buffer.add(time: time) { line.append(&hash, to: &$0) }
        }
    }

    /// Writes lines until the task is cancelled.
    func run() async { await buffer.run() }
}

extension TraceContext {
    /// The trace that a request says it belongs to; one that begins with it where it says nothing valid.
    init(of id: RequestID, in fields: Fields = Fields()) {
        if fields.count(of: .traceparent) == 1, let field = fields.bytes(of: .traceparent),
            let context = TraceContext(field.span)
        {
            self = context
        } else {
            self.init(traceID: id.number, spanID: Self.span(of: id))
        }
    }

    /// The span of ours in which the bridge is asked.
    func asked(during id: RequestID) -> TraceContext { asked(by: Self.span(of: id)) }

    /// As good as random, and the same for the same request: the finaliser of SplitMix64 (Steele et al., 2014).
    private static func span(of id: RequestID) -> UInt64 {
        var bits = UInt64(truncatingIfNeeded: id.number >> 64) &+ UInt64(truncatingIfNeeded: id.number)
        bits = (bits ^ bits >> 30) &* 0xbf58_476d_1ce4_e5b9
        bits = (bits ^ bits >> 27) &* 0x94d0_49bb_1331_11eb
        return max(bits ^ bits >> 31, 1)
    }
}
