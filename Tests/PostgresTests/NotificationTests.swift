import Loop
import Testing

@testable import Postgres

private enum Notify {
    static let send = Statement<String, String, String>("notify.send", "SELECT pg_notify($1, $2)::text") { row in
        try row.next()
    }
    static let many = Statement<String, String, Int>(
        "notify.many", "SELECT max(pg_notify($1, number::text)::text) FROM generate_series(1, $2) AS number"
    ) { row in try row.next() }
    static let terminateListener = Statement<Bool, String>(
        "notify.terminate",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = $1"
    ) { row in try row.next() }
}

@Suite(.timeLimit(.minutes(1))) struct NotificationTests {
    @Test("Notifications arrive in order, after a first gap")
    func order() async throws {
        try await withDatabase(connections: 1) { database in
            let notifications = database.notifications(on: Channel("ordered"), Channel("also_ordered"))
            defer { notifications.close() }
            try await expect(.gap, from: notifications)
            _ = try await database.query(Notify.send("ordered", "1"))
            _ = try await database.query(Notify.send("unheard", "2"))
            _ = try await database.query(Notify.send("also_ordered", "3"))
            try await expect(.notification(.init(channel: "ordered", payload: "1")), from: notifications)
            try await expect(.notification(.init(channel: "also_ordered", payload: "3")), from: notifications)
        }
    }

    @Test("After its connection broke it listens again and tells of the gap")
    func reconnect() async throws {
        try await withDatabase(connections: 1) { database in
            let notifications = database.notifications(on: Channel("broken"))
            defer { notifications.close() }
            try await expect(.gap, from: notifications)
            let ended = try await database.query(Notify.terminateListener(#"LISTEN "broken""#))
            #expect(ended == [true])
            try await expect(.gap, from: notifications)
            _ = try await database.query(Notify.send("broken", "again"))
            try await expect(.notification(.init(channel: "broken", payload: "again")), from: notifications)
        }
    }

    @Test("More notifications than the buffer holds end in a gap")
    func overflow() async throws {
        try await withDatabase(connections: 1) { database in
            let notifications = database.notifications(on: Channel("flood"))
            defer { notifications.close() }
            try await expect(.gap, from: notifications)
            _ = try await database.query(Notify.many("flood", Notifications.bufferBound + 500))
            while notifications.waitingCount < Notifications.bufferBound { try await Loop.sleep(for: .milliseconds(1)) }
            while !notifications.hasGap { try await Loop.sleep(for: .milliseconds(1)) }
            for number in 1...Notifications.bufferBound {
                try await expect(.notification(.init(channel: "flood", payload: "\(number)")), from: notifications)
            }
            try await expect(.gap, from: notifications)
        }
    }

    @Test("Waiting ends when the task is cancelled")
    func cancelled() async throws {
        try await withDatabase(connections: 1) { database in
            let notifications = database.notifications(on: Channel("silent"))
            defer { notifications.close() }
            try await expect(.gap, from: notifications)
            let task = Task { await failure { _ = try await notifications.next() } }
            task.cancel()
            let code = await task.value
            #expect(code == .cancelled)
        }
    }

    @OnLoop
    private func expect(_ event: Notifications.Event, from notifications: Notifications) async throws {
        let next = try await notifications.next()
        #expect(next == event)
    }
}
