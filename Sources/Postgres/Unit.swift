internal import Loop

/// Commands that travel together and end with one synchronisation point: they share one implicit transaction, or are
/// part of an explicit one, and an error in one skips the rest of this unit only.
///
/// One task waits for the answer, at most until `expires`. A unit whose task has given up is `isAbandoned`, but keeps
/// its place until the server has answered.
@OnLoop
final class Unit {
    enum Command {
        case statement(StatementText, Arguments)
        /// BEGIN, COMMIT and their like.
        case plain(StaticString)
        /// One of these about a prepared transaction, which has its name in the text.
        case prepared(PreparedTransaction.Command, PreparedTransaction)
        case listen(Channel)
    }

    let commands: [Command]
    /// On the clock of `Loop.monotonicNanoseconds`.
    let expires: UInt64
    let began = Loop.monotonicNanoseconds

    /// One for each command that succeeded.
    private(set) var results: [QueryResult] = []
    private var error: PostgresError?
    /// The server has done nothing of it and a fresh connection would.
    private(set) var mayBeRepeated = false
    private var continuation: UnsafeContinuation<[QueryResult], any Error>?
    private var outcome: Result<[QueryResult], PostgresError>?
    /// Where it was sent.
    weak var connection: Connection?
    /// Called when the server has ended it, or never will.
    var onEnd: (@OnLoop () -> Void)?

    init(_ commands: [Command], expires: UInt64) {
        self.commands = commands
        self.expires = expires
    }

    var isAnswered: Bool { outcome != nil }
    private(set) var isAbandoned = false
    private(set) var abandoned = UInt64.max

    /// The name of the command that an error is about, for the log: the first without a result; where all have one, it
    /// is about ending the unit, so about the last.
    private var current: String? {
        switch results.count < commands.count ? commands[results.count] : commands.last {
        case .statement(let text, _): text.key
        case .plain(let sql): sql.description
        case .prepared(let command, _): command.rawValue
        case .listen, nil: nil
        }
    }

    func uses(_ text: StatementText) -> Bool {
        commands.contains { if case .statement(let own, _) = $0 { own.key == text.key } else { false } }
    }

    // MARK: What the connection reports

    /// - Parameter hasCancelled: whether a cancellation was sent over the connection, maybe meant for another unit.
    func add(_ result: QueryResult, hasCancelled: Bool) {
        if result.status == .pipelineAborted { return }
        guard result.isError else { return results.append(result) }
        let report = result.report
        mayBeRepeated = error == nil && (report.meansStalePlan || hasCancelled && report.state == "57014")
        add(report.error)
    }

    /// Notes the first error; those after it follow from it.
    func add(_ error: PostgresError) {
        guard self.error == nil else { return }
        self.error = error
        self.error!.statement = error.statement ?? current
    }

    /// The server has ended it.
    func finish() {
        settle(error.map { .failure($0) } ?? .success(results))
        onEnd?()
        onEnd = nil
    }

    /// It will never be answered.
    func fail(_ error: PostgresError) {
        add(error)
        finish()
    }

    /// Lets its task go on with `error`, before the server has answered.
    ///
    /// - Parameter instant: when it is to be cancelled on the server, should it still run.
    func abandon(_ error: PostgresError, at instant: UInt64) {
        guard !isAnswered else { return }
        isAbandoned = true
        abandoned = instant
        add(error)
        settle(.failure(error))
    }

    /// Makes it as if it had never been sent.
    func reset() {
        results = []
        error = nil
        mayBeRepeated = false
    }

    private func settle(_ outcome: Result<[QueryResult], PostgresError>) {
        guard self.outcome == nil else { return }
        self.outcome = outcome
        guard let continuation else { return }
        self.continuation = nil
        continuation.resume(with: outcome.mapError { $0 })
    }

    // MARK: What its task waits for

    /// Waits for the answer; a task that is cancelled meanwhile abandons the unit.
    func answer() async throws -> [QueryResult] {
        try await withTaskCancellationHandler {
            try await withUnsafeThrowingContinuation { continuation in
                if Task.isCancelled { cancel() }
                if let outcome {
                    continuation.resume(with: outcome.mapError { $0 })
                } else {
                    self.continuation = continuation
                }
            }
        } onCancel: {
            // Cancellation comes on any thread. The unit outlives the call, so that a late arrival does no harm.
            Task { await self.cancel() }
        }
    }

    private func cancel() {
        guard !isAnswered else { return }
        abandon(
            PostgresError(.cancelled, "the calling task was cancelled"),
            at: Loop.monotonicNanoseconds + Connection.cancellationGrace)
        connection?.wasAbandoned(self)
    }
}
