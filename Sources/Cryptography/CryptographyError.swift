internal import COpenSSL

/// Why a key could not be used. The message never contains key material.
public struct CryptographyError: Error, Sendable, Equatable, CustomStringConvertible {
    /// What went wrong, as a phrase such as "not a PEM public key".
    public let message: String

    /// Names what went wrong.
    public init(_ message: String) { self.message = message }

    /// The message.
    public var description: String { message }
}

/// Forgets what OpenSSL noted about failures on this thread.
///
/// Every failed call leaves entries in a queue of the thread, and the next TLS operation on that thread would take
/// them for its own. Whoever has a library fail on purpose (a bad signature) clears them.
public func discardOpenSSLErrors() { ERR_clear_error() }

/// Whether this thread's queue holds an entry that nobody has cleared; for tests of those who should have.
package func hasPendingOpenSSLErrors() -> Bool { ERR_peek_error() != 0 }
