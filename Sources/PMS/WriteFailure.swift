public import Postgres

/// Why a write into the PMS did not succeed, in the terms that decide what to do next.
///
/// An adapter that works on the PMS's database throws `PostgresError`; one that calls a vendor over the network throws this.
public struct WriteFailure: Error, Hashable, Sendable, CustomStringConvertible {
    /// What went wrong.
    ///
    /// | kind | PostgreSQL | HTTP | sockets |
    /// |---|---|---|---|
    /// | `unreachable` | no connection | 503 without an answer of the PMS's own | ECONNREFUSED |
    /// | `connectionLost` | the connection broke under way | | ECONNRESET |
    /// | `timedOut` | a deadline, a lock that was not given | 408, 504 | ETIMEDOUT |
    /// | `busy` | too many wait, out of resources (class 53) | 429, 503 | |
    /// | `collision` | serialization failure, deadlock | | |
    /// | `serverError` | shutting down, trouble with the system (57, 58, XX) | 500, 502 | |
    /// | `refused` | a constraint, a right, a function that raises | any other | |
    /// | `unreadable` | a row or answer that cannot be understood | | |
    public enum Kind: String, Hashable, Sendable, CaseIterable {
        case unreachable
        case connectionLost = "connection_lost"
        case timedOut = "timed_out"
        case busy, collision
        case serverError = "server_error"
        case refused, unreadable

        /// Whether trying again may ever help.
        public var isTransient: Bool { self != .refused && self != .unreadable }
    }

    /// What is known of the write.
    public enum Nature: Hashable, Sendable {
        /// It did not take effect, and may be tried again.
        case retryable
        /// It may have taken effect: who tries again looks first.
        case doubtful
        /// It did not take effect, and will not.
        case permanent
    }

    /// What went wrong.
    public let kind: Kind
    /// Whether the write may have taken effect all the same.
    public let isDoubtful: Bool
    /// For logs and administrators: nothing that a guest may have typed.
    public let message: String
    /// For how long the PMS asks to be left alone; nil where it says nothing.
    public let retryAfter: Duration?

    /// A failure.
    public init(_ kind: Kind, isDoubtful: Bool, _ message: String, retryAfter: Duration? = nil) {
        self.kind = kind
        self.isDoubtful = isDoubtful
        self.message = message
        self.retryAfter = retryAfter
    }

    /// What is known of the write.
    public var nature: Nature { isDoubtful ? .doubtful : kind.isTransient ? .retryable : .permanent }

    public var description: String { "\(kind.rawValue): \(message)" }
}

extension WriteFailure {
    /// What failed in a PMS's database.
    public init(_ error: PostgresError) {
        self.init(Self.kind(of: error.code), isDoubtful: error.leavesDoubt, error.description)
    }

    private static func kind(of code: PostgresError.Code) -> Kind {
        switch code {
        case .unavailable: .unreachable
        case .connectionLost, .cancelled: .connectionLost
        case .timedOut: .timedOut
        case .tooManyWaiters: .busy
        case .serializationFailure, .deadlock: .collision
        case .decoding: .unreadable
        case .sql(let state): kind(ofState: state)
        case .uniqueViolation, .foreignKeyViolation, .checkViolation, .exclusionViolation, .notNullViolation,
            .configuration, .migration, .misuse:
            .refused
        }
    }

    /// See "Appendix A. PostgreSQL Error Codes" of the manual.
    private static func kind(ofState state: String) -> Kind {
        switch state.prefix(2) {
        // lock_not_available; the rest of class 55 is a state that waiting does not change.
        case "55": state == "55P03" ? .timedOut : .refused
        // read_only_sql_transaction: the server has become a standby.
        case "25": state == "25006" ? .serverError : .refused
        case "08": .connectionLost
        case "40": .collision
        case "53": .busy
        case "57", "58", "XX": .serverError
        default: .refused
        }
    }

    /// What a vendor answered to a write.
    ///
    /// After 500, 502, 504 and 408 nobody knows what was done. 401 is the adapter's own affair, which gets another token
    /// first; one that comes all the same is a refusal.
    ///
    /// - Parameters:
    ///   - status: of an answer that is no success.
    ///   - message: without what a guest may have typed.
    ///   - retryAfter: what `Retry-After` says.
    public init(status: Int, _ message: String, retryAfter: Duration? = nil) {
        switch status {
        case 408, 504: self.init(.timedOut, isDoubtful: true, message, retryAfter: retryAfter)
        case 429, 503: self.init(.busy, isDoubtful: false, message, retryAfter: retryAfter)
        case 500...: self.init(.serverError, isDoubtful: true, message, retryAfter: retryAfter)
        default: self.init(.refused, isDoubtful: false, message)
        }
    }

    /// What a piece of work on a hotel's reservations threw; nil for what is no failure of a write.
    public init?(_ error: any Error) {
        switch error {
        case let error as WriteFailure: self = error
        case let error as PostgresError: self.init(error)
        default: return nil
        }
    }
}
