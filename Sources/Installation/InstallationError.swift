/// Why an installation cannot be set up or started, and what to do about it.
public struct InstallationError: Error, Sendable, Equatable, CustomStringConvertible {
    /// What is wrong, for the person at the terminal.
    public let message: String
    /// What puts it right, where that is known.
    public let remedy: String?

    /// Names what is wrong and what would put it right.
    public init(_ message: String, remedy: String? = nil) {
        self.message = message
        self.remedy = remedy
    }

    /// The message and the remedy.
    public var description: String { remedy.map { "\(message)\n  \($0)" } ?? message }
}
