public import HTTP
public import Loop

/// One request, its head parsed and its content still to be read.
///
/// It is a class because every stage hands it on: what each of them holds is one reference.
@OnLoop
public final class Request {
    /// Names the request in logs and in the answer.
    public let id: RequestID

    /// Method, target, fields.
    public let head: RequestHead

    /// What it came on.
    public let connection: ConnectionInfo

    /// Its content.
    public let body: RequestBody

    init(_ head: consuming RequestHead, connection: ConnectionInfo, body: RequestBody, on server: Server) {
        id = server.nextRequestID(for: head)
        self.head = head
        self.connection = connection
        self.body = body
    }

    private init(_ other: Request, _ head: RequestHead) {
        id = other.id
        self.head = head
        connection = other.connection
        body = other.body
    }

    /// The version of TLS that it came by, such as "1.3"; nil for plain HTTP.
    public var tlsVersion: String? { body.connection.protocolVersion }

    /// The same request without its query, for whoever is not to see that.
    public var withoutQuery: Request {
        var head = head
        head.target = head.target.withoutQuery
        return Request(self, head)
    }
}

/// A request that could not be read: it broke HTTP, one of the server's bounds, or came too slowly.
public struct UnreadRequest: Sendable {
    /// Names the request in logs and in the answer.
    public let id: RequestID

    /// What it came on.
    public let connection: ConnectionInfo

    /// The version of TLS that it came by; nil for plain HTTP.
    public let tlsVersion: String?
}

extension Request {
    /// Adds field lines to the answer, whoever gives it.
    ///
    /// - Parameters:
    ///   - lines: each with its line end.
    ///   - names: the fields they are, which are then not taken from an upstream.
    public func addAnswerLines(_ lines: [UInt8], of names: FieldNameSet) {
        body.connection.answerLines.add(lines, of: names)
    }
}

/// Field lines that a handler adds to an answer of whatever origin.
struct AnswerLines {
    private(set) var bytes: [UInt8] = []
    private(set) var names = FieldNameSet()

    mutating func add(_ lines: [UInt8], of names: FieldNameSet) {
        if bytes.isEmpty { bytes = lines } else { bytes += lines }
        self.names = self.names.union(names)
    }
}

/// What is the same for all requests of one connection.
public final class ConnectionInfo: Sendable {
    /// The client's address without port; empty on a unix-domain socket.
    public let peerAddress: String

    /// The listener it was accepted on.
    public let listener: String

    /// How the client spoke to us.
    public let scheme: Scheme

    /// What forwarded requests say of this client.
    public let forwarding: ForwardingContext

    init(peerAddress: String, listener: String, scheme: Scheme) {
        self.peerAddress = peerAddress
        self.listener = listener
        self.scheme = scheme
        forwarding = ForwardingContext(clientAddress: peerAddress, scheme: scheme)
    }
}

/// A request's content, read from the connection while the handler asks for it.
@OnLoop
public struct RequestBody {
    let connection: ServerConnection

    /// Whether there is nothing to read; asking first saves most requests a suspension.
    public var isEmpty: Bool { connection.isRequestComplete }

    /// Reads all of it.
    ///
    /// - Parameters:
    ///   - bound: bytes it may have.
    ///   - limit: how long it may take to come, where that is less than the server's configuration gives everybody.
    /// - Throws: `Problem` 413 when it has more, 408 when it comes too slowly, 400 when it is not as announced.
    public func collect(upTo bound: Int, within limit: Duration? = nil) async throws -> [UInt8] {
        if connection.isRequestComplete { return [] }
        if let limit { connection.limitContent(to: limit) }
        if case .length(let length) = connection.framing, length > UInt64(bound) { throw Self.tooLarge(bound) }
        var content: [UInt8] = []
        while try await connection.readContent(into: &content) {
            if content.count > bound { throw Self.tooLarge(bound) }
        }
        return content
    }

    private static func tooLarge(_ bound: Int) -> Problem {
        Problem(
            .contentTooLarge, "content-too-large", "The content is too large",
            detail: "The content may have at most \(bound) bytes")
    }
}
