import Client
import HTTP
import Loop
import TestSupport
import Testing

@Suite("Faults", .serialized)
struct FaultTests {
    @Test("a client that reads slowly holds its upstream to its pace")
    func backpressure() async throws {
        try await onLoop {
            let size = 32 << 20
            let fake = try FakeUpstream(unix: true) { connection in
                _ = try await connection.receive()
                try await connection.send("HTTP/1.1 200 OK\r\nContent-Length: \(size)\r\n\r\n")
                let piece = [UInt8](repeating: 7, count: 64 << 10)
                for _ in 0..<size / piece.count { try await connection.send(piece) }
            }
            let proxy = try TestProxy(fake.endpoint)
            let client = try await proxy.connect()
            try await client.send(get)
            // Nothing is read until everything between has filled up and come to rest.
            var before = -1
            while before != fake.sent {
                before = fake.sent
                try await Loop.sleep(for: .milliseconds(100))
            }
            // The kernel's buffers of two connections; the proxy itself holds a few hundred KiB.
            #expect(fake.sent < 20 << 20)
            let answer = try await client.receive()
            #expect(answer.content == [UInt8](repeating: 7, count: size))
            await proxy.stop()
            await fake.stop()
        }
    }

    @Test(
        "an upstream that breaks off in its answer cuts the client's visibly",
        arguments: ["Content-Length: 10\r\n\r\nhalf", "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"])
    func cut(answer: String) async throws {
        try await onLoop {
            let fake = try FakeUpstream(unix: true) { connection in
                _ = try await connection.receive()
                try await connection.send("HTTP/1.1 200 OK\r\n" + answer)
            }
            let proxy = try TestProxy(fake.endpoint)
            let client = try await proxy.connect()
            try await client.send(get)
            await #expect(throws: (any Error).self) { try await client.receive() }
            #expect(proxy.gauge("drawbridge_upstream_connections") == 0)
            await proxy.stop()
            await fake.stop()
        }
    }

    @Test("a client may take longer for an answer than the upstream may", arguments: [true, false])
    func slowClient(isWhole: Bool) async throws {
        try await onLoop {
            let size = 32 << 20
            let fake = try FakeUpstream(unix: true) { connection in
                _ = try await connection.receive()
                try await connection.send("HTTP/1.1 200 OK\r\nContent-Length: \(isWhole ? size : size + 1)\r\n\r\n")
                try await connection.send([UInt8](repeating: 7, count: size))
            }
            let proxy = try TestProxy(fake.endpoint) { $0.responseTimeout = .seconds(3) }
            let client = try await proxy.connect()
            try await client.send(get)
            try await Loop.sleep(for: .seconds(5))
            if isWhole {
                #expect(try await client.receive().content.count == size)
            } else {
                await #expect(throws: (any Error).self) { try await client.receive() }
            }
            try await eventually { proxy.gauge("drawbridge_upstream_connections") == 0 }
            await proxy.stop()
            await fake.stop()
        }
    }

    @Test("a client that goes away in the middle of an answer lets go of the upstream")
    func clientGone() async throws {
        try await onLoop {
            let fake = try FakeUpstream(unix: true) { connection in
                _ = try await connection.receive()
                try await connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                while true { try await connection.send("1\r\nx\r\n") }
            }
            let proxy = try TestProxy(fake.endpoint)
            let client = try await proxy.connect()
            try await client.send(get)
            #expect(try await client.stream.fill())
            client.stream.close()
            try await eventually { proxy.gauge("drawbridge_upstream_connections") == 0 }
            try await eventually { proxy.gauge("drawbridge_server_connections") == 0 }
            await proxy.stop()
            await fake.stop()
        }
    }

    @Test("a drain whose patience ends does not wait for the upstream")
    func drainCutsExchanges() async throws {
        try await onLoop {
            let fake = try FakeUpstream(unix: true) { connection in
                _ = try await connection.receive()
                _ = try await connection.stream.fill()
            }
            let proxy = try TestProxy(fake.endpoint) { $0.responseTimeout = .seconds(50) }
            let client = try await proxy.connect()
            try await client.send(get)
            try await eventually { fake.requests.count == 1 }
            try await Loop.withDeadline(.seconds(30), "drain") { await proxy.stop() }
            try await eventually { proxy.gauge("drawbridge_upstream_connections") == 0 }
            await fake.stop()
        }
    }

    @Test("a thousand requests with faults on all sides leave no connection behind, and no answer reaches another")
    func storm() async throws {
        try await onLoop {
            let fake = try FakeUpstream(unix: true) { connection in
                while true {
                    let request = try await connection.receive()
                    let path = request.split(separator: " ")[1]
                    let good = "HTTP/1.1 200 OK\r\nContent-Length: \(path.utf8.count)\r\n\r\n\(path)"
                    switch Int.random(in: 0..<8) {
                    case 0: return
                    case 1: return try await connection.send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n\(path)")
                    case 2: return try await connection.send("nonsense\r\n\r\n")
                    case 3:
                        try await connection.send("HTTP/1.1 200 OK\r\n\r\n\(path)")
                        return
                    case 4:
                        try await Loop.sleep(for: .milliseconds(30))
                        try await connection.send(good)
                    case 5: try await connection.send(good + "surplus")
                    default: try await connection.send(good)
                    }
                }
            }
            let proxy = try TestProxy(fake.endpoint) {
                $0.maximumConnections = 16
                $0.maximumWaiting = 100
                $0.responseTimeout = .milliseconds(20)
                $0.idleTimeout = .milliseconds(50)
            }
            let wrong = await withTaskGroup(of: Int.self) { group in
                for number in 0..<100 { group.addTask { await Self.ask(proxy, number) } }
                var wrong = 0
                for await count in group { wrong += count }
                return wrong
            }
            #expect(wrong == 0)
            try await eventually { proxy.gauge("drawbridge_server_connections") == 0 }
            try await eventually { proxy.gauge("drawbridge_upstream_connections") == 0 }
            #expect(proxy.gauge("drawbridge_upstream_waiting_requests") == 0)
            #expect(proxy.gauge("drawbridge_server_active_requests") == 0)
            await proxy.stop()
            await fake.stop()
        }
    }

    /// Asks ten times, hanging up now and then; returns how many answers were somebody else's.
    @OnLoop
    private static func ask(_ proxy: TestProxy, _ number: Int) async -> Int {
        var wrong = 0
        var client: TestClient?
        for turn in 0..<10 {
            do {
                if client == nil { client = try await proxy.connect() }
                let path = "/\(number)/\(turn)"
                try await client!.send("GET \(path) HTTP/1.1\r\nHost: a\r\n\r\n")
                if Int.random(in: 0..<10) == 0 { throw LoopError(.closed, "mood") }
                let answer = try await client!.receive()
                if answer.head.status == .ok, answer.text != path { wrong += 1 }
                if answer.head.keepAlive { continue }
            } catch {}
            client?.stream.close()
            client = nil
        }
        client?.stream.close()
        return wrong
    }
}
