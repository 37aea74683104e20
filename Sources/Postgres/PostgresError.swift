/// A call to PostgreSQL that failed.
public struct PostgresError: Error, Sendable, CustomStringConvertible {
    /// What went wrong, in the terms a caller decides by.
    public enum Code: Sendable, Equatable {
        /// The database cannot be reached; nothing was sent. Trying again later is safe.
        case unavailable
        /// The connection broke while the call was under way; a writing statement may or may not have taken effect.
        case connectionLost
        /// The call's deadline passed; a writing statement may or may not have taken effect.
        case timedOut
        /// The calling task was cancelled; a writing statement may or may not have taken effect.
        case cancelled
        /// As many calls wait for a connection as may wait; nothing was sent.
        case tooManyWaiters
        /// The transaction collided with another one and was rolled back; running it again may succeed.
        case serializationFailure
        /// As `serializationFailure`, by waiting for each other's locks.
        case deadlock
        case uniqueViolation(constraint: String)
        case foreignKeyViolation(constraint: String)
        case checkViolation(constraint: String)
        case exclusionViolation(constraint: String)
        case notNullViolation(column: String)
        /// Any other error that the server reported, by its SQLSTATE.
        case sql(state: String)
        /// A result is not what the program expects: type, null or number of columns.
        case decoding
        /// The configuration cannot be used.
        case configuration
        /// A migration cannot be applied: changed since, or the database is newer than the program.
        case migration
        /// The program used a transaction or connection against its rules.
        case misuse
    }

    public let code: Code

    /// For logs: says what failed, never with the values of parameters or columns.
    public let message: String

    /// The name of the statement, where one was involved.
    public internal(set) var statement: String?

    /// Whether a transaction was being committed, which may have taken effect all the same: with `connectionLost`, `timedOut`
    /// and `cancelled` nobody knows.
    public internal(set) var leavesDoubt = false

    public init(_ code: Code, _ message: String, statement: String? = nil) {
        self.code = code
        self.message = message
        self.statement = statement
    }

    public var description: String {
        if let statement { "\(code) in \(statement): \(message)" } else { "\(code): \(message)" }
    }

    /// Whether the same call, or the whole transaction, may simply be made again.
    public var isRetryable: Bool {
        switch code {
        case .unavailable, .tooManyWaiters, .serializationFailure, .deadlock: true
        default: false
        }
    }
}

/// The fields of an error report of the server that matter here.
///
/// See "Error and Notice Message Fields" and appendix A, "PostgreSQL Error Codes", of the manual.
struct ServerReport {
    var severity = ""
    var state = ""
    var text = ""
    var constraint = ""
    var column = ""
    /// The server's function that reported it.
    var routine = ""
    /// Which character of the statement's text it is about, counted from 1.
    var position: Int?

    /// The text without values that a guest may have typed.
    ///
    /// What PL/pgSQL's RAISE says is written by somebody else and may hold anything. Errors of class 22 quote the value
    /// as it is, and it may hold quotes of its own: whatever stands between the first and the last goes.
    var safeText: String {
        if routine == "exec_stmt_raise" { return "raised by a function of the database" }
        guard state.hasPrefix("22"), let first = text.firstIndex(where: Self.isQuote),
            let last = text.lastIndex(where: Self.isQuote)
        else { return text }
        return text[...first] + "…" + (first < last ? text[last...] : "")
    }

    /// The server's messages are in the language that it, or the role, is set to.
    private static func isQuote(_ character: Character) -> Bool { "\"„“”«»".contains(character) }

    var error: PostgresError { PostgresError(code, "\(safeText) (\(state.isEmpty ? "no SQLSTATE" : state))") }

    private var code: PostgresError.Code {
        switch state {
        case "23505": .uniqueViolation(constraint: constraint)
        case "23503": .foreignKeyViolation(constraint: constraint)
        case "23514": .checkViolation(constraint: constraint)
        case "23P01": .exclusionViolation(constraint: constraint)
        case "23502": .notNullViolation(column: column)
        case "40001": .serializationFailure
        case "40P01": .deadlock
        // query_canceled: our own cancellations have told their caller already, so it is statement_timeout.
        case "57014": .timedOut
        // admin_shutdown, crash_shutdown, idle_in_transaction_session_timeout, and libpq's own reports without state.
        case "57P01", "57P02", "25P03", "": .connectionLost
        // cannot_connect_now, too_many_connections.
        case "57P03", "53300": .unavailable
        default: state.hasPrefix("08") ? .connectionLost : .sql(state: state)
        }
    }

    /// Whether the plan of a prepared statement no longer fits the schema, or the server has forgotten it.
    ///
    /// Both are reported before anything is executed: a fresh connection will do.
    var meansStalePlan: Bool { state == "0A000" && routine == "RevalidateCachedQuery" || state == "26000" }

    /// Whether the session should not be used any more: the server became a standby.
    var meansStaleSession: Bool { meansStalePlan || state == "25006" }
}
