import Loop
import Testing

@Suite struct StressTests {
    init() { Loop.runInBackground() }

    @Test("A thousand connections echo at once while some close at random")
    @OnLoop func thousand() async throws {
        let test = try TestListener(unix: true)
        let server = Task {
            await withTaskGroup(of: Void.self) { group in
                while let stream = try? await test.listener.next() {
                    group.addTask { await Self.echo(stream) }
                }
            }
        }
        let whole = try await withThrowingTaskGroup(of: Bool.self) { group in
            for number in 0..<1000 {
                group.addTask { try await Self.talk(try await test.connect(), isRude: number % 5 == 0) }
            }
            var count = 0
            while let isWhole = try await group.next() { count += isWhole ? 1 : 0 }
            return count
        }
        #expect(whole == 800)
        test.listener.close()
        await server.value
    }

    @OnLoop private static func echo(_ stream: Stream) async {
        defer { stream.close() }
        while (try? await stream.fill()) == true {
            guard (try? await stream.write(stream.take())) != nil else { return }
            if UInt8.random(in: 0...255) == 0 { await Task.yield() }
        }
    }

    /// Whether all came back. A rude client closes at any moment.
    @OnLoop private static func talk(_ stream: Stream, isRude: Bool) async throws -> Bool {
        defer { stream.close() }
        for round in 0..<20 {
            let message = [UInt8](repeating: UInt8(round), count: Int.random(in: 1...8_000))
            if isRude, Int.random(in: 0..<20) == 0 || round == 19 { return false }
            try await stream.write(message)
            var count = 0
            while count < message.count {
                guard try await stream.fill() else { return false }
                let bytes = stream.take()
                count += bytes.count
                guard bytes == [UInt8](repeating: UInt8(round), count: bytes.count) else { return false }
            }
        }
        return true
    }
}
