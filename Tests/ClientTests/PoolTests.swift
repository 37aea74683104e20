import Glibc
import HTTP
import Loop
import TestSupport
import Testing

@testable import Client

@Suite("The pool", .serialized)
struct PoolTests {
    @Test("a connection is used again")
    func reuse() async throws {
        try await onLoop {
            let fake = try FakeUpstream(FakeUpstream.answering(okay))
            let upstream = Upstream(fake)
            for _ in 0..<10 { #expect(try await upstream.fetch().text == "ok") }
            #expect(fake.accepted == 1)
            #expect(upstream.connectionCounts == (1, 1, 0))
            await fake.stop()
        }
    }

    @Test("no more connections are opened than allowed; the others wait their turn")
    func bound() async throws {
        try await onLoop {
            let fake = try FakeUpstream(FakeUpstream.answering(okay))
            let upstream = Upstream(fake) {
                $0.maximumConnections = 3
                $0.connectTimeout = .seconds(10)
            }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<50 { group.addTask { _ = try await upstream.fetch() } }
                try await group.waitForAll()
            }
            #expect(fake.accepted == 3)
            #expect(upstream.connectionCounts == (3, 3, 0))
            await fake.stop()
        }
    }

    @Test("no more requests wait than allowed, and none longer than allowed")
    func waitingBound() async throws {
        try await onLoop {
            let gate = Signal()
            let fake = try FakeUpstream { connection in
                _ = try await connection.receive()
                try await gate.wait()
                try await connection.send(okay)
                try await connection.end()
            }
            let upstream = Upstream(fake) {
                $0.maximumConnections = 1
                $0.maximumWaiting = 1
                $0.connectTimeout = .milliseconds(200)
            }
            async let first = upstream.fetch()
            try await eventually { fake.requests.count == 1 }
            async let second = upstream.failure()
            try await eventually { upstream.connectionCounts.waiting == 1 }
            #expect(await upstream.failure() == .overloaded)
            #expect(await second == .overloaded)
            gate.fire()
            #expect(try await first.text == "ok")
            #expect(upstream.connectionCounts == (1, 1, 0))
            await fake.stop()
        }
    }

    @Test("a waiting request that is cancelled loses no place")
    func cancelledWaiting() async throws {
        try await onLoop {
            let gate = Signal()
            let fake = try FakeUpstream { connection in
                while true {
                    _ = try await connection.receive()
                    try await gate.wait()
                    try await connection.send(okay)
                }
            }
            let upstream = Upstream(fake) {
                $0.maximumConnections = 1
                $0.connectTimeout = .seconds(10)
            }
            async let first = upstream.fetch()
            try await eventually { fake.requests.count == 1 }
            let waiting = Task { try await upstream.fetch() }
            try await eventually { upstream.connectionCounts.waiting == 1 }
            waiting.cancel()
            _ = await waiting.result
            #expect(upstream.connectionCounts == (1, 0, 0))
            gate.fire()
            _ = try await first
            async let third = upstream.fetch()
            try await eventually { fake.requests.count == 2 }
            gate.fire()
            #expect(try await third.text == "ok")
            await fake.stop()
        }
    }

    @Test("a refused connection is unavailable, and takes no place")
    func refused() async throws {
        try await onLoop {
            let fake = try FakeUpstream { _ in }
            await fake.stop()
            let upstream = Upstream(fake)
            #expect(await upstream.failure() == .unavailable)
            let nobody = Upstream(.unix(path: "/tmp/nobody-listens-here.sock"))
            #expect(await nobody.failure() == .unavailable)
            #expect(upstream.connectionCounts == (0, 0, 0))
        }
    }

    @Test("an upstream that fails again and again is left alone: requests are refused at once, without a connection")
    func leftAlone() async throws {
        try await onLoop {
            let fake = try FakeUpstream { connection in _ = try await connection.receive() }
            let upstream = Upstream(fake)
            let began = Loop.monotonicNanoseconds
            var failures: [UpstreamError.Code] = []
            for _ in 0..<200 { failures.append(try #require(await upstream.failure(.post))) }
            // The first five, and after each pause, of which the first lasts 200 ms, one that tries.
            let tries = 5 + Int((Loop.monotonicNanoseconds - began) / 200_000_000)
            #expect(failures.prefix(5).allSatisfy { $0 == .broken })
            #expect(fake.accepted <= tries)
            #expect(failures.count { $0 == .unavailable } == 200 - fake.accepted)
            #expect(upstream.isLeftAlone && upstream.connectionCounts == (0, 0, 0))
            await fake.stop()
        }
    }

    @Test("an unused connection is closed after its time, and so is one that the upstream closes")
    func idleEnd() async throws {
        try await onLoop {
            let fake = try FakeUpstream(FakeUpstream.answering(okay))
            let upstream = Upstream(fake) { $0.idleTimeout = .milliseconds(50) }
            _ = try await upstream.fetch()
            try await eventually { upstream.connectionCounts == (0, 0, 0) && fake.open == 0 }
            let closing = try FakeUpstream { connection in
                _ = try await connection.receive()
                try await connection.send(okay)
            }
            let other = Upstream(closing)
            _ = try await other.fetch()
            try await eventually { other.connectionCounts == (0, 0, 0) }
            await fake.stop()
            await closing.stop()
        }
    }

    @Test("an upstream that is let go of leaves nothing behind")
    func letGo() async throws {
        try await onLoop {
            let fake = try FakeUpstream(FakeUpstream.answering(okay))
            weak var gone: Upstream?
            do {
                let upstream = Upstream(fake) { $0.idleTimeout = .milliseconds(50) }
                gone = upstream
                _ = try await upstream.fetch()
            }
            try await eventually { fake.open == 0 }
            try await eventually { gone == nil }
            await fake.stop()
        }
    }

    @Test("health goes ill after failed checks and well after a good one")
    func health() async throws {
        try await onLoop {
            let status = Box("200 OK")
            let fake = try FakeUpstream { connection in
                _ = try await connection.receive()
                try await connection.send("HTTP/1.1 \(status.value)\r\nContent-Length: 0\r\n\r\n")
            }
            let upstream = Upstream(fake) { $0.healthCheckInterval = .milliseconds(5) }
            let checking = Task {
                await upstream.checkHealth(path: "/healthz")
            }
            try await eventually { fake.requests.count > 3 }
            #expect(upstream.isHealthy)
            status.value = "503 Service Unavailable"
            try await eventually { !upstream.isHealthy }
            #expect(await upstream.failure() == .unavailable)
            status.value = "200 OK"
            try await eventually { upstream.isHealthy }
            await fake.stop()
            try await eventually { !upstream.isHealthy }
            checking.cancel()
            await checking.value
        }
    }

    @Test("an upstream whose connections are all busy is not ill")
    func busyIsNotIll() async throws {
        try await onLoop {
            let fake = try FakeUpstream { connection in
                let request = try await connection.receive()
                if request.hasPrefix("GET /healthz") { try await connection.send(okay) }
                try await connection.end()
            }
            let upstream = Upstream(fake) {
                $0.maximumConnections = 1
                $0.maximumWaiting = 0
                $0.connectTimeout = .seconds(10)
                $0.healthCheckInterval = .milliseconds(1)
                $0.responseTimeout = .milliseconds(300)
            }
            async let busy = upstream.failure()
            let checking = Task {
                await upstream.checkHealth(path: "/healthz")
            }
            try await eventually { fake.accepted > 20 }
            #expect(upstream.isHealthy)
            #expect(await busy == .timedOut)
            checking.cancel()
            await checking.value
            await fake.stop()
        }
    }
}

/// A value that a script looks at while a test changes it.
@OnLoop
final class Box<Value> {
    var value: Value

    init(_ value: Value) { self.value = value }
}
