/// Lets one task at a time pass, the others in the order in which they came.
@OnLoop
public final class Turnstile {
    private let bound: Int
    private var isTaken = false
    private var waiting: [Signal] = []

    /// - Parameter bound: tasks that may wait; one more is refused.
    public init(bound: Int = 1024) { self.bound = bound }

    /// Waits for its turn, runs `body`, and lets the next one pass.
    ///
    /// - Throws: `LoopError` `tooLarge` when too many wait, `CancellationError`, what `body` throws.
    public func pass<Output>(_ body: @OnLoop () async throws -> Output) async throws -> Output {
        if isTaken {
            guard waiting.count < bound else { throw LoopError(.tooLarge, "wait in line") }
            let turn = Signal()
            waiting.append(turn)
            do {
                try await turn.wait()
            } catch {
                // The turn may have come just now; then it is passed on.
                if let place = waiting.firstIndex(where: { $0 === turn }) { waiting.remove(at: place) } else { leave() }
                throw error
            }
        }
        isTaken = true
        defer { leave() }
        return try await body()
    }

    private func leave() {
        if waiting.isEmpty { isTaken = false } else { waiting.removeFirst().fire() }
    }
}
