import Loop

/// Runs a test as a process runs: on the loop, in a task that prefers it. A test that hangs fails.
func onLoop(
    for patience: Duration, _ body: @escaping @Sendable @OnLoop () async throws -> Void
) async throws {
    Loop.runInBackground()
    try await Task {
        try await Loop.withDeadline(patience, "test") { try await body() }
    }.value
}
