import Loop

/// Runs a test on the loop. A test that hangs fails.
///
/// Unlike a process of ours the test runner keeps its global executor, so resumed tasks come back by way of its
/// threads.
package func onLoop(_ body: @escaping @Sendable @OnLoop () async throws -> Void) async throws {
    Loop.runInBackground()
    try await Task {
        try await Loop.withDeadline(.seconds(180), "test") { try await body() }
    }.value
}

/// Waits until something that other tasks bring about is so.
@OnLoop
package func eventually(_ condition: @OnLoop () -> Bool) async throws {
    while !condition() { try await Loop.sleep(for: .milliseconds(1)) }
}
