/// Why a request could not be recorded, or nothing can be.
public struct AuditError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The causes told apart in metrics.
    public enum Code: String, Sendable, CaseIterable {
        /// The ledger did not acknowledge in time: its disk hangs, or its process is away.
        case timedOut = "timed_out"
        /// The ledger refused the record: it cannot write.
        case refused
        /// Too many records wait already.
        case overloaded
        /// The worker stops.
        case stopping
        /// The key for keyed hashes is too short.
        case unusableKey = "unusable_key"
    }

    /// The cause.
    public let code: Code

    init(_ code: Code) { self.code = code }

    /// The cause as a word.
    public var description: String { "not recorded: \(code.rawValue)" }
}
