internal import Cryptography

/// Somebody who sends us webhooks, as the gateway sees it: by what it proves that a message is its own, and who it is then.
public struct InboundSender: Sendable {
    /// How a message proves whose it is.
    public enum Proof: Sendable {
        /// By a code over the content.
        case code(WebhookTerms)
        /// By a secret in the address that it is sent to, for vendors that sign nothing.
        case urlSecret(URLSecret)
    }

    /// What the policy and the path call it.
    public let name: String
    /// How it proves itself.
    public let proof: Proof
    /// The most bytes of content that it may send; nil for what the route takes.
    public let maximumBody: Int?
    /// Whom a good message proves. It has no scopes: its messages are taken, and nothing else of it.
    public let identity: Identity

    /// Describes a sender.
    public init(name: String, proof: Proof, maximumBody: Int? = nil, hotelIDs: HotelAccess) {
        self.name = name
        self.proof = proof
        self.maximumBody = maximumBody
        identity = Self.identity(name, hotelIDs: hotelIDs)
    }

    /// Whom messages of a source prove.
    public static func identity(_ name: String, hotelIDs: HotelAccess) -> Identity {
        Identity(
            issuer: Identity.ownClients, subject: subject(name), client: subject(name), scopes: [], hotelIDs: hotelIDs,
            method: .inbound)
    }

    /// What the identity of a source is called.
    public static func subject(_ name: String) -> String { "inbound-\(name)" }
}

/// Secrets that stand in an address, as `?secret=…`: one, or two while one takes the other's place.
public struct URLSecret: Sendable {
    /// The parameter that holds it.
    public static let parameter = "secret"
    /// How many characters a secret has.
    public static let lengths = 24...256

    private let hashes: [Digest256]

    /// - Returns: nil unless each secret has 24 to 256 characters that need no escaping in a query (RFC 3986 §2.3).
    public init?(_ secrets: [[UInt8]]) {
        guard secrets.allSatisfy(Self.isUsable) else { return nil }
        hashes = secrets.map { SHA256.hash($0.span) }
    }

    private static func isUsable(_ secret: [UInt8]) -> Bool {
        lengths.contains(secret.count)
            && secret.allSatisfy { byte in
                switch byte {
                case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F, 0x7E: true
                default: false
                }
            }
    }

    /// Refuses a query that does not hold one of the secrets, exactly once. What is compared are hashes, each with each, so that
    /// nothing can be learned from how long it takes.
    public func check(_ query: ArraySlice<UInt8>?) throws(AuthenticationError) {
        let prefix = Array("\(Self.parameter)=".utf8)
        let values = (query ?? []).split(separator: UInt8(ascii: "&")).filter { $0.starts(with: prefix) }
        guard values.count == 1 else { throw AuthenticationError(.missing, "not exactly one secret in the address") }
        let secret = Array(values[0].dropFirst(prefix.count))
        let hash = SHA256.hash(secret.span)
        var isGood = false
        for known in hashes where known == hash { isGood = true }
        guard isGood else { throw AuthenticationError(.badSignature, "another secret than the source's") }
    }
}
