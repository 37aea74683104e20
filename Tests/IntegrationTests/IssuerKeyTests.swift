import Cryptography
import Glibc
import HTTP
import Loop
import Testing

/// An issuer of the tests' own that publishes its keys over HTTP on this machine, until it goes away.
@OnLoop
private final class Publisher {
    let port: UInt16
    var keySet = ""
    private(set) var requests = 0
    private var listener: Listener?
    private var running: Task<Void, Never>?

    init() throws {
        let socket = try ListeningSocket(address: "127.0.0.1", port: 0)
        port = socket.port
        try start(socket)
    }

    func show(_ keys: [(id: String, key: P256PrivateKey)]) {
        let entries = keys.map { id, key in
            // The point stands at the end of the DER in the PEM: 04, x, y.
            let body = key.publicKey.pem.split(separator: "\n").filter { !$0.hasPrefix("-") }.joined()
            let point = Base64.standard.decode(body)!.suffix(64)
            let (x, y) = (Base64.url.encode(Array(point.prefix(32))), Base64.url.encode(Array(point.suffix(32))))
            return #"{"kty":"EC","crv":"P-256","kid":"\#(id)","use":"sig","x":"\#(x)","y":"\#(y)"}"#
        }
        keySet = #"{"keys":[\#(entries.joined(separator: ","))]}"#
    }

    func goAway() async {
        listener?.close()
        await running?.value
    }

    private func start(_ socket: consuming ListeningSocket) throws {
        let listener = try Listener(socket)
        self.listener = listener
        running = Task {
            await withDiscardingTaskGroup { group in
                while let stream = try? await listener.next() {
                    group.addTask { try? await self.answer(stream) }
                }
                group.cancelAll()
            }
        }
    }

    private func answer(_ stream: Stream) async throws {
        defer { stream.close() }
        guard try await stream.fill() else { return }
        requests += 1
        let head = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: \(keySet.utf8.count)\r\n\r\n"
        try await stream.write(Array((head + keySet).utf8))
    }
}

@Suite("Issuers that publish their keys")
struct IssuerKeyTests {
    init() { Loop.runInBackground() }

    private static let hotels = "/api/booking-engine/hotels"
    private static let issuer = "https://publisher.example"

    private func token(_ id: String, _ key: P256PrivateKey) -> String {
        var token = Token()
        token.issuer = Self.issuer
        token.keyID = id
        return token.signed(key)
    }

    @OnLoop
    private func status(_ node: Node, _ token: String) async throws -> Int {
        try await node.gateway.send(.get(Self.hotels, token)).status
    }

    @Test(
        "Their tokens are believed: from a new key at once, from old ones while they overlap, and while they are away")
    @OnLoop func lifeOfKeys() async throws {
        let publisher = try Publisher()
        let (first, second, third) = (P256PrivateKey(), P256PrivateKey(), P256PrivateKey())
        publisher.show([("1", first)])
        let node = try Node(ownsPolicies: true)
        let file = "\(node.policies)/issuers.yaml"
        Files.write(
            Files.text(file) + """

                  - issuer: \(Self.issuer)
                    audience: drawbridge
                    key_set:
                      url: http://127.0.0.1:\(publisher.port)/keys
                      algorithms: [ES256]
                """, to: file)
        try await node.start()
        try await wait("the first key") { try await self.status(node, self.token("1", first)) == 200 }

        // A key that was published after the last look is found by the token that names it.
        publisher.show([("2", second)])
        let before = publisher.requests
        #expect(try await status(node, token("2", second)) == 200)
        #expect(publisher.requests == before + 1)
        #expect(try await status(node, token("1", first)) == 200, "the old key overlaps")
        try await wait("every worker to know") {
            for _ in 0..<12 where try await self.status(node, self.token("2", second)) != 200 { return false }
            return true
        }

        // Names made up do not make us ask again and again.
        let asked = publisher.requests
        for number in 0..<20 { #expect(try await status(node, token("x\(number)", third)) == 401) }
        #expect(publisher.requests <= asked + 1)
        #expect(try await status(node, token("2", third)) == 401)

        // Its going away locks nobody out, not even when the bridge is started anew meanwhile.
        await publisher.goAway()
        for _ in 0..<4 { #expect(try await status(node, token("2", second)) == 200) }
        kill(try node.processID("bridge"), SIGKILL)
        kill(try node.processID("gateway-0"), SIGKILL)
        try await wait("the bridge to be back") {
            for _ in 0..<12 where try await self.status(node, self.token("2", second)) != 200 { return false }
            return true
        }
        #expect(try await node.stop().isSuccess)
    }
}
