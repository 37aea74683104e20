/// Why the ledger could not be opened, written or read. Never contains any of a record.
public struct LedgerError: Error, Sendable, Hashable, CustomStringConvertible {
    /// What kind of trouble it is.
    public enum Code: Sendable, Hashable {
        /// The system refused: disk full, input/output error, read-only.
        case system(errno: Int32)
        /// Another process is writing this ledger.
        case locked
        /// A record is not one JSON object within bounds.
        case invalidRecord
        /// What is on disk cannot be continued: `drawbridge audit verify` says more.
        case damaged
        /// Earlier the disk refused to sync: what it holds is only known after opening again.
        case failed
        /// More records wait to be written than may.
        case overloaded
        /// A record or tree size that the ledger does not have, or no longer has.
        case outOfRange
        /// A key, note or checkpoint that is not what it should be.
        case invalidNote
    }

    /// What kind of trouble it is.
    public let code: Code
    /// What happened, in words.
    public let message: String

    init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    /// What happened, in words.
    public var description: String { message }
}
