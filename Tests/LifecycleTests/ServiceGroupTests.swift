import Lifecycle
import Loop
import Testing

@Suite("Service group")
struct ServiceGroupTests {
    init() { Loop.runInBackground() }

    @Test("Services start in order and stop in reverse order")
    @OnLoop func order() async throws {
        let journal = Journal()
        let group = ServiceGroup(
            "test", [[Recorder("database", journal)], [Recorder("bridge", journal)], [Recorder("gateway", journal)]])
        try await group.run { group.stop() }
        #expect(
            journal.entries == [
                "database starts", "bridge starts", "gateway starts", "gateway stops", "bridge stops", "database stops",
            ])
    }

    @Test("A step is done before the next stage starts, and is not in the way of stopping")
    @OnLoop func steps() async throws {
        let journal = Journal()
        let group = ServiceGroup(
            "test",
            [[Step("migrate") { journal.entries.append("migrates") }], [Recorder("bridge", journal)]])
        try await group.run { group.stop() }
        #expect(journal.entries == ["migrates", "bridge starts", "bridge stops"])
    }

    @Test("When a step fails, what has started is stopped, what has not is not started, and the error is thrown")
    @OnLoop func failure() async throws {
        let journal = Journal()
        let group = ServiceGroup(
            "test",
            [
                [Recorder("database", journal)], [Step("migrate") { throw Refusal() }], [Recorder("bridge", journal)],
            ])
        await #expect(throws: Refusal.self) { try await group.run { Issue.record("ready after a failure") } }
        #expect(journal.entries == ["database starts", "database stops"])
    }

    @Test("Stopping while a stage starts stops what has started")
    @OnLoop func stopDuringStart() async throws {
        let journal = Journal()
        let never = Recorder("bridge", journal, getsReady: false)
        let group = ServiceGroup("test", [[Recorder("database", journal)], [never], [Recorder("gateway", journal)]])
        never.onStart = { group.stop() }
        try await group.run { Issue.record("ready without its services") }
        #expect(journal.entries == ["database starts", "bridge starts", "bridge stops", "database stops"])
    }

    @Test("Stopping twice hurries every service")
    @OnLoop func hurry() async throws {
        let journal = Journal()
        let services = [Recorder("database", journal), Recorder("bridge", journal)]
        let group = ServiceGroup("test", services.map { [$0] })
        try await group.run {
            group.stop()
            group.stop()
        }
        #expect(services.map(\.stops) == [2, 2])
    }

    private struct Refusal: Error {}
}

@OnLoop
private final class Journal {
    var entries: [String] = []
}

/// A service that runs until it is stopped and writes down what happens to it.
@OnLoop
private final class Recorder: Service {
    let name: String
    var onStart: (@OnLoop () -> Void)?
    private(set) var stops = 0
    private let journal: Journal
    private let getsReady: Bool
    private let stopped = Signal()

    init(_ name: String, _ journal: Journal, getsReady: Bool = true) {
        self.name = name
        self.journal = journal
        self.getsReady = getsReady
    }

    func run(ready: @escaping @OnLoop () -> Void) async throws {
        journal.entries.append("\(name) starts")
        onStart?()
        if getsReady { ready() }
        try await stopped.wait()
        journal.entries.append("\(name) stops")
    }

    func stop() {
        stops += 1
        stopped.fire()
    }
}
