/// Lets one task at a time pass, the others in the order in which they came.
@OnLoop
public final class Turnstile {
    private let bound: Int
    private let patience: Duration
    private var isTaken = false
    private var waiting: [Place] = []

    /// A task's place in the line.
    @OnLoop
    private final class Place {
        let turn = Signal()
        var isServed = false
    }

    /// - Parameters:
    ///   - bound: tasks that may wait; one more is refused.
    ///   - patience: how long one waits before it gives up, unless it says so itself.
    public init(bound: Int, patience: Duration) {
        self.bound = bound
        self.patience = patience
    }

    /// Waits for its turn, runs `body`, and lets the next one pass.
    ///
    /// - Throws: `LoopError` `tooLarge` when too many wait, `timedOut` when the turn did not come in time;
    ///   `CancellationError`; what `body` throws.
    public func pass<Output>(
        patience: Duration? = nil, _ body: @OnLoop () async throws -> Output
    ) async throws -> Output {
        if isTaken { try await waitForTurn(patience ?? self.patience) }
        isTaken = true
        defer { leave() }
        return try await body()
    }

    private func waitForTurn(_ patience: Duration) async throws {
        guard waiting.count < bound else { throw LoopError(.tooLarge, "wait in line") }
        let place = Place()
        waiting.append(place)
        let deadline = Deadline { place.turn.fire() }
        deadline.set(patience)
        defer { deadline.cancel() }
        do {
            try await place.turn.wait()
            guard place.isServed else { throw LoopError(.timedOut, "wait in line") }
        } catch {
            // A turn that came all the same is passed on.
            if place.isServed { leave() } else { waiting.removeAll { $0 === place } }
            throw error
        }
    }

    private func leave() {
        guard !waiting.isEmpty else {
            isTaken = false
            return
        }
        let next = waiting.removeFirst()
        next.isServed = true
        next.turn.fire()
    }
}
