import Cryptography
import Loop
import Testing

/// An issuer of the tests' own that publishes its keys over HTTP on this machine, until it goes away.
@OnLoop
final class TestIssuer {
    let port: UInt16
    var keySet = ""
    private(set) var requests = 0
    /// What is said of how long the set is fresh.
    var cacheControl: String?
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

    /// When each request came, on the loop's clock.
    private(set) var instants: [UInt64] = []

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
        instants.append(Loop.monotonicNanoseconds)
        let lines = cacheControl.map { "Cache-Control: \($0)\r\n" } ?? ""
        let head = "HTTP/1.1 200 OK\r\nConnection: close\r\n\(lines)Content-Length: \(keySet.utf8.count)\r\n\r\n"
        try await stream.write(Array((head + keySet).utf8))
    }
}

extension Node {
    /// Lets the policy believe an issuer's tokens, by the keys that it publishes.
    ///
    /// - Parameter terms: further members of `key_set`, a line each.
    func trust(_ name: String, at issuer: TestIssuer, _ terms: String...) {
        let file = "\(policies)/issuers.yaml"
        let entry = """

              - issuer: \(name)
                audience: drawbridge
                key_set:
                  url: http://127.0.0.1:\(issuer.port)/keys
                  algorithms: [ES256]

            """
        Files.write(Files.text(file) + entry + terms.map { "      \($0)\n" }.joined(), to: file)
    }

    /// Whether every worker answers so: several connections in a row reach all of them, as good as surely.
    func everyWorker(answers status: Int, _ token: String) async throws -> Bool {
        for _ in 0..<12 where try await gateway.send(.get("/api/booking-engine/hotels", token)).status != status {
            return false
        }
        return true
    }
}
