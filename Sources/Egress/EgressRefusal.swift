/// Why nothing is sent somewhere.
public struct EgressRefusal: Error, Sendable, Hashable, CustomStringConvertible {
    /// What speaks against it.
    public enum Code: String, Sendable, CaseIterable {
        /// It is no URL that everybody reads in the same way.
        case form
        /// Its scheme is none, or none that the policy allows.
        case scheme
        /// It has a user's name or password.
        case userInformation = "user_information"
        /// Its host is neither a name nor an address in its usual form.
        case host
        /// The policy does not allow its port.
        case port
        /// The address is no place on the internet, or the policy denies it.
        case address
    }

    /// What speaks against it.
    public let code: Code
    /// The address, where one was refused.
    public let address: IPAddress?
    /// What the address is; nil for one that the policy denies.
    public let kind: SpecialAddress?
    /// What was found, in words.
    public let message: String

    init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
        address = nil
        kind = nil
    }

    init(_ address: IPAddress, _ kind: SpecialAddress?) {
        code = .address
        self.address = address
        self.kind = kind
        message = "\(address): \(kind?.rawValue ?? "denied by the policy")"
    }

    /// Code and message on one line.
    public var description: String { "\(code.rawValue): \(message)" }
}
