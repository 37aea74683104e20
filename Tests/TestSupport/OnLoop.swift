import Loop

/// Runs a test as a process runs: on the loop, in a task that prefers it. A test that hangs fails.
package func onLoop(_ body: @escaping @Sendable @OnLoop () async throws -> Void) async throws {
    Loop.runInBackground()
    try await Task(executorPreference: LoopExecutor.shared) {
        try await Loop.withDeadline(.seconds(60), "test") { try await body() }
    }.value
}

/// Waits until something that other tasks bring about is so.
@OnLoop
package func eventually(_ condition: @OnLoop () -> Bool) async throws {
    while !condition() { try await Loop.sleep(for: .milliseconds(1)) }
}
