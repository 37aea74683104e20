import Cryptography
import HTTP
import JSONText
import Loop
import Server
import Testing
import Webhook

/// A subscriber's server on this machine: it keeps what it is sent, and answers as the test says. Each path is an endpoint.
@OnLoop
final class Receiver: Handler {
    /// One attempt at a delivery as it arrived.
    struct Message: Sendable {
        let path: String
        let id: String
        let timestamp: String
        let signature: String
        let contentType: String?
        let content: [UInt8]
        /// How often this id has come to this path, this time included.
        let number: Int
        /// On the monotonic clock, in nanoseconds.
        let arrivedAt: UInt64

        /// A member of the content.
        subscript(member: String) -> JSONValue? { try? JSONValue(parsing: content)[member] }
        /// What it is about.
        var entity: String? { self["data"]?["booking_id"]?.string }
        var version: Int64? { self["data"]?["version"]?.integer }

        /// Whether one of its signatures was made with a secret (Standard Webhooks 1.0.0), computed here from the bytes alone.
        func isSigned(with secret: WebhookSecret) -> Bool {
            var authenticator = HMACSHA256(key: secret.bytes.span)
            let code = authenticator.authenticationCode(
                for: Array("\(id).\(timestamp).".utf8).span, content.span)
            return signature.split(separator: " ").contains { $0 == "v1,\(Base64.standard.encode(code))" }
        }
    }

    /// What is answered: a status, how long it is to be left alone, in seconds or as a date, and a content.
    struct Reply: Sendable {
        var status = Status.noContent
        var retryAfter: String?
        var content: [UInt8] = []

        static let taken = Reply()
        static let failure = Reply(status: .internalServerError)
    }

    /// In the order in which they arrived, whatever was answered.
    private(set) var messages: [Message] = []
    /// Those that were answered 2xx, in the order of their answers.
    private(set) var taken: [Message] = []
    /// How many requests are being answered, and how many there have been at once.
    private(set) var underWay = 0
    private(set) var mostUnderWay = 0
    /// Says what is answered.
    var answer: @OnLoop (Message) async throws -> Reply = { _ in .taken }

    let port: UInt16
    private var server: Server!
    private var running: Task<Void, Never>!

    init() throws {
        let socket = try ListeningSocket(address: "127.0.0.1", port: 0)
        port = socket.port
        let listener = try Listener(socket)
        let server = Server(name: "receiver", configuration: .init(), handler: self)
        self.server = server
        running = Task { await server.run(listener) }
    }

    func url(_ path: String = "/hook") -> String { "http://127.0.0.1:\(port)\(path)" }

    /// Ends it, and everything that is being answered.
    func stop() async {
        await server.drain(patience: .milliseconds(100))
        await running.value
    }

    /// The attempts at one endpoint.
    func messages(_ path: String) -> [Message] { messages.filter { $0.path == path } }

    /// What one endpoint has taken.
    func taken(_ path: String) -> [Message] { taken.filter { $0.path == path } }

    func respond(to request: Request, _ writer: consuming ResponseWriter) async throws {
        underWay += 1
        mostUnderWay = max(mostUnderWay, underWay)
        defer { underWay -= 1 }
        let content = try await request.body.collect(upTo: 1 << 20)
        let fields = request.head.fields
        let (path, id) = (request.head.target.path, fields[WebhookSignature.idField] ?? "")
        let message = Message(
            path: path, id: id, timestamp: fields[WebhookSignature.timestampField] ?? "",
            signature: fields[WebhookSignature.signatureField] ?? "", contentType: fields[.contentType],
            content: content, number: messages.count { $0.path == path && $0.id == id } + 1,
            arrivedAt: Loop.monotonicNanoseconds)
        messages.append(message)
        let reply = try await answer(message)
        if 200...299 ~= reply.status.rawValue { taken.append(message) }
        var answered = Fields()
        if let retryAfter = reply.retryAfter { answered.append("retry-after", retryAfter) }
        writer.send(reply.status, answered, content: reply.content)
    }
}
