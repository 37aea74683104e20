import Loop
import Testing

@Suite struct CancellationTests {
    init() { Loop.runInBackground() }

    @Test("A cancelled sleep ends at once")
    @OnLoop func sleep() async throws {
        let outcome = try await cancelled { try await Loop.sleep(for: .seconds(1000)) }
        #expect(throws: CancellationError.self) { try outcome.get() }
    }

    @Test("A task that is cancelled before it waits does not wait", arguments: 0..<3)
    @OnLoop func cancelledBefore(turn: Int) async throws {
        let outcome = try await cancelled(afterTurns: 0) {
            switch turn {
            case 0: try await Loop.sleep(for: .seconds(1000))
            case 1: try await Signal().wait()
            default: _ = try await TestListener().listener.next()
            }
        }
        #expect(throws: CancellationError.self) { try outcome.get() }
    }

    @Test("A cancelled read throws and leaves the stream usable")
    @OnLoop func fill() async throws {
        let (client, server) = try await TestListener().pair()
        let outcome = try await cancelled { try await server.fill() }
        #expect(throws: CancellationError.self) { try outcome.get() }
        try await client.write(Array("still here".utf8))
        #expect(try await server.text(10) == "still here")
        client.close()
        server.close()
    }

    @Test("A cancelled write closes the stream, because half a message was sent")
    @OnLoop func write() async throws {
        let (client, server) = try await TestListener().pair()
        let outcome = try await cancelled { try await client.write([UInt8](repeating: 1, count: 64 << 20)) }
        #expect(outcome.error?.code == .closed)
        #expect(client.isEnded)
        #expect(try await server.drain() < 64 << 20)
        server.close()
    }

    @Test("A cancelled accept throws, and the next one gets the connection")
    @OnLoop func accept() async throws {
        let test = try TestListener()
        let outcome = try await cancelled { try await test.listener.next() }
        #expect(throws: CancellationError.self) { try outcome.get() }
        let (client, server) = try await test.pair()
        client.close()
        server.close()
    }

    @Test("A connect is ended by cancellation and by its timeout while the peer's queue is full")
    @OnLoop func connect() async throws {
        // A bound socket with a full queue never answers: Linux drops what does not fit the backlog.
        let full = try FullListener()
        defer { full.close() }
        let outcome = try await cancelled {
            try await Stream.connect(to: full.endpoint, timeout: .seconds(1000))
        }
        #expect(throws: CancellationError.self) { try outcome.get() }
        await #expect(throws: LoopError.self) {
            try await Stream.connect(to: full.endpoint, timeout: .milliseconds(20))
        }
    }

    @Test("Cancelling from other threads at any moment loses no wait and ends no other's")
    @OnLoop func races() async throws {
        let signal = Signal()
        for round in 0..<500 {
            let task = Task { try await signal.wait() }
            let canceller = Task.detached {
                for _ in 0..<(round % 50) { await Task.yield() }
                task.cancel()
            }
            _ = await task.result
            // The same signal again: a late cancellation of the first wait must not end this one.
            let next = Task { try await signal.wait() }
            await canceller.value
            for _ in 0..<3 { await Task.yield() }
            signal.fire()
            try await next.value
        }
    }
}
