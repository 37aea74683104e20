package import Loop

/// An upstream that does to each connection what a test says, byte by byte.
@OnLoop
package final class FakeUpstream {
    package typealias Script = @Sendable @OnLoop (FakeConnection) async throws -> Void

    package let endpoint: Endpoint
    /// How many connections it has taken, and how many of them are open.
    package private(set) var accepted = 0
    package private(set) var open = 0
    /// Every request of every connection, in order.
    package fileprivate(set) var requests: [String] = []
    /// How many bytes the kernel has taken.
    package fileprivate(set) var sent = 0
    private let listener: Listener
    private var running: Task<Void, Never>?

    /// - Parameters:
    ///   - address: where it listens, unless on a unix socket.
    ///   - port: 0 for any that is free.
    ///   - script: run for each connection; the connection is closed when it ends.
    package init(
        unix: Bool = false, address: String = "127.0.0.1", port: UInt16 = 0, _ script: @escaping Script
    ) throws {
        if unix {
            let path = "/tmp/upstream-test-\(UInt64.random(in: 0 ... .max)).sock"
            listener = try Listener(ListeningSocket(unixPath: path))
            endpoint = .unix(path: path)
        } else {
            let socket = try ListeningSocket(address: address, port: port)
            endpoint = .tcp(address: address, port: socket.port)
            listener = try Listener(socket)
        }
        running = Task { await self.run(script) }
    }

    private func run(_ script: @escaping Script) async {
        await withDiscardingTaskGroup { group in
            while let stream = try? await listener.next() {
                accepted += 1
                open += 1
                let connection = FakeConnection(stream, number: accepted, self)
                group.addTask { await self.play(script, connection) }
            }
            group.cancelAll()
        }
    }

    private func play(_ script: Script, _ connection: FakeConnection) async {
        // A script may end by the client's hanging up.
        try? await script(connection)
        connection.stream.close()
        open -= 1
    }

    package func stop() async {
        listener.close()
        await running?.value
    }

    /// Answers every request with the same text until the client hangs up.
    package static func answering(_ text: String) -> Script {
        { connection in
            while true {
                _ = try await connection.receive()
                try await connection.send(text)
            }
        }
    }
}

/// One connection of a `FakeUpstream`, as its script sees it.
@OnLoop
package final class FakeConnection {
    package let stream: Stream
    /// 1 for the first connection of the upstream.
    package let number: Int
    private let upstream: FakeUpstream

    fileprivate init(_ stream: Stream, number: Int, _ upstream: FakeUpstream) {
        self.stream = stream
        self.number = number
        self.upstream = upstream
    }

    /// Reads one request whose head and content end in `end`.
    package func receive(endingIn end: String = "\r\n\r\n") async throws -> String {
        var bytes: [UInt8] = []
        while !String(decoding: bytes, as: UTF8.self).hasSuffix(end) {
            guard try await stream.fill() else { throw LoopError(.closed, "request") }
            stream.withReadable { span in span.withUnsafeBufferPointer { bytes.append(contentsOf: $0) } }
            stream.consume(stream.readableCount)
        }
        let request = String(decoding: bytes, as: UTF8.self)
        upstream.requests.append(request)
        return request
    }

    package func send(_ text: String) async throws { try await send(Array(text.utf8)) }

    package func send(_ bytes: [UInt8]) async throws {
        try await stream.write(bytes)
        upstream.sent += bytes.count
    }

    /// Waits until the client hangs up.
    package func end() async throws {
        while try await stream.fill() { stream.consume(stream.readableCount) }
    }
}

package let okay = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
