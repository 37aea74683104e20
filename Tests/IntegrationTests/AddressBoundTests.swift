import Glibc
import Loop
import TestSupport
import Testing

/// What one address may hold on to, of whichever worker: two workers, and a listener without TLS, so that the kernel
/// alone stands between test and gateway.
@Suite("What one address may hold on to", .serialized)
struct AddressBoundTests {
    init() { Loop.runInBackground() }

    @OnLoop private func node(_ limits: String) async throws -> (Node, UInt16) {
        let node = try Node(ownsPolicies: true)
        let port = try freePort()
        let file = "\(node.policies)/gateway.yaml"
        let text = Files.text(file)
        let changed =
            text
            .replacing("  - name: admin ", with: "  - {name: plain, address: 127.0.0.1:\(port)}\n  - name: admin ")
            .replacing("  maximum_connections_per_address: 2000\n", with: "  \(limits)\n")
            .replacing("  maximum_header_bytes_per_address: 1 MiB", with: "")
        #expect(changed != text)
        Files.write(changed, to: file)
        try await node.start()
        return (node, port)
    }

    /// Opens connections until one is refused, and says how many were not.
    private func open(_ port: UInt16, from address: String = "127.0.0.1") async throws -> [RawConnection] {
        var open: [RawConnection] = []
        while open.count < 200 {
            let connection = RawConnection()
            guard try await connection.connect(port, from: address), try await connection.isServed() else {
                connection.close()
                return open
            }
            open.append(connection)
        }
        return open
    }

    @Test("Connections of one address are counted over workers, and those of a killed worker are forgotten")
    @OnLoop func connections() async throws {
        let (node, port) = try await node("maximum_connections_per_address: 40")
        var mine = try await open(port)
        #expect(mine.count == 40)
        // Both workers have some of them, so each alone would have let more in.
        for slot in ["gateway-0", "gateway-1"] {
            let metrics = try await node.socket("\(slot).admin").send(.get("/metrics")).text
            let count = metrics.split(separator: "\n").first {
                $0.hasPrefix("drawbridge_server_connections{") && $0.contains("listener=\"plain\"")
            }
            #expect(count?.hasSuffix(" 0.0") == false && count?.hasSuffix(" 40.0") == false, "\(count ?? "none")")
        }
        // Another address is another matter, and so is the listener for health.
        let other = try await open(port, from: "127.0.0.2")
        #expect(other.count == 40)
        for connection in other { connection.close() }
        #expect(try await node.admin.send(.get("/readyz")).status == 200)
        let metrics = try await node.admin.send(.get("/metrics")).text
        #expect(metrics.contains("drawbridge_server_rejected_connections_total"))
        // The listener with TLS counts with the other.
        await #expect(throws: (any Error).self) { try await node.get("/api/booking-engine/hotels") }

        let before = try node.processID("gateway-0")
        kill(before, SIGKILL)
        try await wait("gateway-0 again") { try node.processID("gateway-0") != before }
        var left: [RawConnection] = []
        for connection in mine {
            if try await connection.isServed() { left.append(connection) } else { connection.close() }
        }
        #expect(left.count < 40)
        mine = left + (try await open(port))
        #expect(mine.count == 40)

        // Closed in order they make room, too.
        for connection in mine { connection.close() }
        try await wait("room for all again") {
            let again = try await self.open(port)
            for connection in again { connection.close() }
            return again.count == 40
        }
        #expect(try await node.stop().isSuccess)
    }

    @Test("Slow headers of one address are bounded over workers; another address goes on")
    @OnLoop func headers() async throws {
        let (node, port) = try await node("maximum_header_bytes_per_address: 64 KiB")
        let part = "GET /nothing HTTP/1.1\r\nHost: localhost\r\nX: " + String(repeating: "x", count: 4000)
        let held = 64 * 1024 / part.utf8.count
        var slow: [RawConnection] = []
        for _ in 0..<held + 5 {
            let connection = RawConnection()
            #expect(try await connection.connect(port))
            try await connection.send(part)
            slow.append(connection)
        }
        var refused: [RawConnection] = []
        try await wait("all that is too much to be refused") {
            var waiting: [RawConnection] = []
            for connection in slow {
                let answer = try await connection.receive(within: .milliseconds(1))
                if answer.isEmpty {
                    waiting.append(connection)
                } else {
                    #expect(answer.hasPrefix("HTTP/1.1 431 "))
                    #expect(answer.contains("/problems/unfinished-headers"))
                    refused.append(connection)
                }
            }
            slow = waiting
            return slow.count <= held
        }
        let other = RawConnection()
        #expect(try await other.connect(port, from: "127.0.0.2"))
        try await other.send(part)
        #expect(try await other.receive(within: .milliseconds(200)) == "")
        try await other.send("\r\n\r\n")
        #expect(try await other.receive(within: .seconds(10)).hasPrefix("HTTP/1.1 404 "))
        // What comes whole is not counted, and what is completed makes room.
        expectProblem(try await node.gateway.send(.get("/nothing")), 404)
        try await slow[0].send("\r\n\r\n")
        #expect(try await slow[0].receive(within: .seconds(10)).hasPrefix("HTTP/1.1 404 "))
        let next = RawConnection()
        #expect(try await next.connect(port))
        try await next.send(part)
        #expect(try await next.receive(within: .milliseconds(200)) == "")
        // Of each worker a line.
        let counts = try await node.admin.send(.get("/metrics")).text.split(separator: "\n").filter {
            $0.hasPrefix("drawbridge_server_refused_total{") && $0.contains("\"plain\"")
        }
        #expect(counts.compactMap { $0.split(separator: " ").last.flatMap { Double($0) } }.reduce(0, +) == 5)
        for connection in slow + refused + [other, next] { connection.close() }
        #expect(try await node.stop().isSuccess)
    }
}

/// A connection from an address of the test's choice, of which nobody takes care.
private final class RawConnection: Sendable {
    private let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)

    func close() { Glibc.close(descriptor) }

    private func with(
        _ address: String, _ port: UInt16, _ call: (UnsafePointer<sockaddr>, socklen_t) -> Int32
    ) -> Int32 {
        var socketAddress = sockaddr_in()
        socketAddress.sin_family = sa_family_t(AF_INET)
        socketAddress.sin_port = port.bigEndian
        socketAddress.sin_addr.s_addr = inet_addr(address)
        return withUnsafePointer(to: &socketAddress) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                call($0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
    }

    func connect(_ port: UInt16, from address: String = "127.0.0.1") async throws -> Bool {
        try await Loop.offload {
            self.with(address, 0) { bind(self.descriptor, $0, $1) } == 0
                && self.with("127.0.0.1", port) { Glibc.connect(self.descriptor, $0, $1) } == 0
        }
    }

    func send(_ text: String) async throws {
        try await Loop.offload { _ = Glibc.send(self.descriptor, text, text.utf8.count, Int32(MSG_NOSIGNAL)) }
    }

    /// What comes within a time, until nothing more does at once; empty also when the other side has closed.
    func receive(within patience: Duration) async throws -> String {
        let milliseconds = Int32(patience / .milliseconds(1))
        return try await Loop.offload {
            var received: [UInt8] = []
            var buffer = [UInt8](repeating: 0, count: 4096)
            var poll = pollfd(fd: self.descriptor, events: Int16(POLLIN), revents: 0)
            while Glibc.poll(&poll, 1, received.isEmpty ? milliseconds : 20) > 0 {
                let count = recv(self.descriptor, &buffer, buffer.count, 0)
                guard count > 0 else { break }
                received += buffer[..<count]
            }
            return String(decoding: received, as: UTF8.self)
        }
    }

    /// Whether it is answered, rather than closed.
    func isServed() async throws -> Bool {
        try await send("GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n")
        return try await receive(within: .seconds(20)).hasPrefix("HTTP/1.1 404 ")
    }
}
