import HTTP
import JSONText
import Loop
import TLS
import Testing

/// One address that speaks HTTP, and how to reach it.
@OnLoop
struct HTTPClient {
    /// Longer than the gateway lets the bridge take for anything, so an answer that does not come is a hang.
    static let patience = Duration.seconds(20)

    var endpoint: Endpoint
    let host: String
    var security: TLSClientContext?

    /// Sends one request on a connection of its own.
    func send(_ request: TestRequest) async throws -> Answer {
        let connection = try await connect()
        defer { connection.close() }
        return try await connection.send(request)
    }

    func connect() async throws -> HTTPConnection {
        try await Loop.withDeadline(Self.patience, "connect") {
            let stream = try await Stream.connect(to: endpoint, timeout: Self.patience)
            do { try await security?.makeSession(host: "localhost").handshake(on: stream) } catch {
                stream.close()
                throw error
            }
            return HTTPConnection(stream, host)
        }
    }
}

/// A request, written as given: also what no proper client would send.
struct TestRequest: Sendable {
    var method = "GET"
    var target: String
    /// Sent as `Authorization: Bearer …`.
    var token: String?
    var fields: [(name: String, value: String)] = []
    var content: [UInt8]?

    static func get(_ target: String, _ token: String? = nil) -> TestRequest {
        TestRequest(target: target, token: token)
    }

    static func post(_ target: String, _ token: String?, json: String) -> TestRequest {
        TestRequest(
            method: "POST", target: target, token: token, fields: [("Content-Type", "application/json")],
            content: Array(json.utf8))
    }

    func with(_ name: String, _ value: String) -> TestRequest {
        var request = self
        request.fields.append((name, value))
        return request
    }

    func bytes(host: String) -> [UInt8] {
        var lines = ["\(method) \(target) HTTP/1.1", "Host: \(host)"]
        if let token { lines.append("Authorization: Bearer \(token)") }
        lines += fields.map { "\($0.name): \($0.value)" }
        if let content { lines.append("Content-Length: \(content.count)") }
        return Array((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8) + (content ?? [])
    }
}

/// A connection that is kept alive.
@OnLoop
final class HTTPConnection {
    private let stream: Stream
    private let host: String
    private var parser = ResponseParser()

    init(_ stream: Stream, _ host: String) {
        self.stream = stream
        self.host = host
    }

    func close() { stream.close() }

    func send(_ request: TestRequest) async throws -> Answer {
        try await begin(request)
        return try await answer(to: request)
    }

    /// Sends a request without waiting for its answer.
    func begin(_ request: TestRequest) async throws { try await stream.write(request.bytes(host: host)) }

    /// Waits for the answer to the request that was sent last.
    func answer(to request: TestRequest) async throws -> Answer {
        parser.expect(responseTo: Method(rawValue: request.method) ?? .get)
        return try await Loop.withDeadline(HTTPClient.patience, "answer") { try await self.read() }
    }

    /// Whether the other side closes the connection.
    func isClosedByPeer() async throws -> Bool {
        try await Loop.withDeadline(HTTPClient.patience, "end") {
            do { return try await !self.stream.fill() } catch is LoopError { return true }
        }
    }

    private func read() async throws -> Answer {
        var answer = Answer()
        while true {
            let step = try stream.withReadable { (input) throws(MessageError) in
                let step = try parser.next(input)
                if case .body(let range) = step.event {
                    input.extracting(range).withUnsafeBufferPointer { answer.content.append(contentsOf: $0) }
                }
                return step
            }
            stream.consume(step.consumed)
            switch step.event {
            case .head:
                let head = parser.takeHead()
                answer.status = Int(head.status.rawValue)
                answer.fields = head.fields
                answer.keepsAlive = head.keepAlive
            case .end: return answer
            case nil:
                guard try await stream.fill() else {
                    guard case .end? = try parser.endOfInput() else { throw LoopError(.unreachable, "read") }
                    return answer
                }
            default: break
            }
        }
    }
}

/// What came back.
struct Answer: Sendable {
    var status = 0
    var fields = Fields()
    var content: [UInt8] = []
    var keepsAlive = true

    var text: String { String(decoding: content, as: UTF8.self) }

    /// A field's value.
    subscript(field: String) -> String? { fields[field] }

    /// The value at a path into the JSON content, such as `room_types.0.available`.
    func value(_ path: String) -> JSONValue? {
        guard var value = try? JSONValue(parsing: content) else { return nil }
        for part in path.split(separator: ".") {
            if case .array(let elements) = value, let index = Int(part), elements.indices.contains(index) {
                value = elements[index]
            } else if let member = value[String(part)] {
                value = member
            } else {
                return nil
            }
        }
        return value
    }

    func string(_ path: String) -> String? { value(path)?.string }
    func integer(_ path: String) -> Int? { value(path)?.integer.map { Int($0) } }
    func elements(_ path: String) -> [JSONValue] {
        if case .array(let elements)? = value(path) { elements } else { [] }
    }

    /// The last segment of a problem's type.
    var problem: String? { string("type")?.split(separator: "/").last.map(String.init) }
}

/// Checks that an answer is a problem as the contract describes them, and says what was wrong with it.
func expectProblem(
    _ answer: Answer, _ status: Int, _ type: String? = nil, sourceLocation: SourceLocation = #_sourceLocation
) {
    #expect(answer.status == status, "\(answer.text)", sourceLocation: sourceLocation)
    if let type { #expect(answer.problem == type, "\(answer.text)", sourceLocation: sourceLocation) }
    #expect(answer["Content-Type"] == "application/problem+json", sourceLocation: sourceLocation)
    #expect(answer.integer("status") == status, sourceLocation: sourceLocation)
    #expect(answer.string("title")?.isEmpty == false, sourceLocation: sourceLocation)
    #expect(answer.string("error")?.isEmpty == false, sourceLocation: sourceLocation)
    #expect(answer.string("instance") != nil, "\(answer.text)", sourceLocation: sourceLocation)
    #expect(answer.string("instance") == answer["X-Request-Id"], sourceLocation: sourceLocation)
    for secret in ["SELECT", "drawbridge.bookings", "/tmp/", ".swift", "PostgresError"] {
        #expect(!answer.text.contains(secret), sourceLocation: sourceLocation)
    }
}
