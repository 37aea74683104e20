import Loop

/// Does something with each of many values at the same time.
///
/// - Returns: the results in the order of the values.
@OnLoop
func concurrently<Input: Sendable, Output: Sendable>(
    _ inputs: [Input], _ body: @escaping @Sendable @OnLoop (Input) async throws -> Output
) async throws -> [Output] {
    try await withThrowingTaskGroup(of: (Int, Output).self) { group in
        for (position, input) in inputs.enumerated() { group.addTask { (position, try await body(input)) } }
        var outputs: [Int: Output] = [:]
        for try await (position, output) in group { outputs[position] = output }
        return inputs.indices.map { outputs[$0]! }
    }
}
