internal import CLibPQ
internal import Loop

/// The time in which a connection is out of pipeline mode, for what that mode does not allow: COPY and files of several
/// statements.
@OnLoop
final class DirectAccess {
    let expires: UInt64
    let activity = Signal()
    private(set) var isExpired = false

    init(expires: UInt64) { self.expires = expires }

    func expire() {
        isExpired = true
        activity.fire()
    }
}

extension Connection {
    /// Runs `body` while the connection is out of pipeline mode.
    ///
    /// An error of the server's must be returned, not thrown: when `body` throws, nobody knows the connection's state,
    /// so it is cancelled and closed.
    func directly<Output>(expires: UInt64, _ body: @OnLoop () async throws -> Output) async throws -> Output {
        guard isUsable, unitCount == 0, direct == nil, PQexitPipelineMode(pointer) == 1 else {
            throw PostgresError(.misuse, "the connection is busy or has ended")
        }
        direct = DirectAccess(expires: expires)
        arm(for: expires)
        do {
            let output = try await body()
            direct = nil
            guard !isClosed, PQenterPipelineMode(pointer) == 1 else { throw lost }
            flush()
            return output
        } catch {
            direct = nil
            if !isClosed { cancelRunning() }
            close(nil)
            throw error
        }
    }

    /// Runs a text of any number of statements.
    ///
    /// - Returns: the first error's report; nil when all succeeded.
    func run(script: [UInt8], expires: UInt64) async throws -> ServerReport? {
        try await directly(expires: expires) {
            let isSent = (script + [0]).withUnsafeBytes {
                PQsendQuery(self.pointer, $0.baseAddress?.assumingMemoryBound(to: CChar.self)) == 1
            }
            guard isSent else { throw self.lost }
            return try await self.finishCommand().report
        }
    }

    /// Waits for what is left of a command's results.
    ///
    /// - Returns: the first error's report, and the rows that the last command touched.
    func finishCommand() async throws -> (report: ServerReport?, rowCount: Int) {
        var report: ServerReport?
        var rowCount = 0
        while let result = try await nextResult() {
            if result.isError {
                report = report ?? result.report
            } else {
                rowCount = result.affectedRowCount
            }
            // A script that copies would wait for data that never comes.
            if result.isCopy { throw PostgresError(.misuse, "COPY is not possible here") }
        }
        return (report, rowCount)
    }

    func nextResult() async throws -> QueryResult? {
        try await drain()
        while PQisBusy(pointer) != 0 { try await waitForActivity() }
        return PQgetResult(pointer).map(QueryResult.init)
    }

    /// Waits until the socket has taken everything: the backpressure of COPY.
    func drain() async throws {
        while !flush() { try await waitForActivity() }
    }

    func waitForActivity() async throws {
        guard !isClosed, let direct else { throw lost }
        if direct.isExpired { throw PostgresError(.timedOut, "the deadline passed while the command ran") }
        flush()
        do {
            try await direct.activity.wait()
        } catch {
            throw PostgresError(.cancelled, "the calling task was cancelled")
        }
        guard !isClosed, PQstatus(pointer) == CONNECTION_OK else { throw lost }
        if direct.isExpired { throw PostgresError(.timedOut, "the deadline passed while the command ran") }
    }

    var lost: PostgresError { PostgresError(.connectionLost, lastMessage) }
}
