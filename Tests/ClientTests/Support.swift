import Client
import HTTP
import Loop
import TestSupport

extension Upstream {
    convenience init(_ fake: FakeUpstream, _ configure: (inout Configuration) -> Void = { _ in }) {
        self.init(fake.endpoint, configure)
    }

    convenience init(_ endpoint: Endpoint, _ configure: (inout Configuration) -> Void = { _ in }) {
        var configuration = Configuration()
        configure(&configuration)
        self.init(name: "test-\(UInt64.random(in: 0 ... .max))", endpoint: endpoint, configuration: configuration)
    }

    /// Sends a request and reads its whole answer.
    func fetch(
        _ method: HTTP.Method = .get, content: [UInt8] = [], timeout: Duration? = nil
    ) async throws(UpstreamError) -> Answer {
        var request: [UInt8] = []
        let framing: BodyFraming = content.isEmpty ? .none : .length(UInt64(content.count))
        RequestHead(method: method, target: RequestTarget("/", authority: "test")!, framing: framing)
            .append(to: &request)
        let exchange = try await send(request + content, method: method, timeout: timeout)
        defer { exchange.end() }
        return try await exchange.read()
    }

    /// Why a request fails; nil when it does not.
    func failure(_ method: HTTP.Method = .get, timeout: Duration? = nil) async -> UpstreamError.Code? {
        do {
            _ = try await fetch(method, timeout: timeout)
            return nil
        } catch {
            return error.code
        }
    }
}

extension Exchange {
    func read() async throws(UpstreamError) -> Answer {
        var answer = Answer()
        answer.head = head
        while true {
            switch try next({ piece in piece.withUnsafeBufferPointer { answer.content.append(contentsOf: $0) } }) {
            case .content: break
            case .trailers(let fields): answer.trailers = fields
            case .incomplete: try await fill()
            case .end: return answer
            }
        }
    }

    /// Why reading the rest fails; nil when it does not.
    func failure() async -> UpstreamError.Code? {
        do {
            _ = try await read()
            return nil
        } catch {
            return error.code
        }
    }
}
