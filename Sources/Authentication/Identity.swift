internal import Cryptography
internal import FoundationEssentials

/// Who is asking, proven. Only a verified token or a verified hop header makes one for a request.
///
/// A reference, because it travels with the request through every stage and is remembered with its token; it never
/// changes once made.
public final class Identity: Sendable {
    /// How a client proved who it is.
    public enum Method: String, Sendable, Codable, CaseIterable {
        /// A signed token of a configured issuer (RFC 7519).
        case jwt
        /// An API key of a client registered here.
        case apiKey = "api_key"
        /// A signed request of a client registered here (RFC 9421).
        case signature
        /// A webhook of a vendor, signed with the secret that it shares with us.
        case webhook
        /// A message to us from a source that the policy has, by a code over its content or by a secret in the address.
        case inbound
        /// Nobody has proven anything: for what everybody may know, and what brings its proof in its content.
        case anonymous = "none"
    }

    /// Whoever has not said who he is. He may do nothing, and at no hotel.
    public static let anonymous = Identity(
        issuer: ownNamespace + "anonymous", subject: "anonymous", client: "anonymous", scopes: [], hotelIDs: .none,
        method: .anonymous)

    /// The issuer of the clients that the installation itself registers, by whichever of its own ways they come in.
    public static let ownClients = ownNamespace + "client"
    /// How the issuers begin that no token may name.
    public static let ownNamespace = "urn:drawbridge:"

    /// Who vouches for it: the token's issuer as configured. Subject and client are names in its name space.
    public let issuer: String
    /// The token's subject: a user or a machine.
    public let subject: String
    /// The application that acts for the subject, as its issuer calls it. Records belong to ``clientKey``, not to it.
    public let client: String
    /// The application across all issuers, in at most 255 printable bytes: two issuers may call different applications
    /// by one name. Idempotency keys and bookings belong to it.
    public let clientKey: String
    /// What the client may do.
    public let scopes: Scopes
    /// For which hotels it may do so.
    public let hotelIDs: HotelAccess
    /// How it was proven.
    public let method: Method

    /// The identity as it stands in the hop header: base64url of its JSON. Written once, sent with every request.
    let encoded: String

    /// The subject of a client that has an API key of our own, or a token that was got with it.
    public static func apiKeySubject(_ id: Int32) -> String { "\(apiKeyPrefix)\(id)" }

    /// The number of the API key that it came in with, or that its token was got with; `nil` for any other.
    public var apiKeyID: Int32? {
        guard issuer == Self.ownClients, subject.hasPrefix(Self.apiKeyPrefix) else { return nil }
        return Int32(subject.dropFirst(Self.apiKeyPrefix.utf8.count))
    }

    /// What a revocation of all tokens of a key calls it, too.
    private static let apiKeyPrefix = "api-key-"

    /// Whether a text can name a client that is registered here, in the policies or by an API key: what can be a key
    /// id.
    public static func isClientName(_ text: String) -> Bool { VerificationKey.isKeyID(text) }

    /// Puts an identity together. Proof is the caller's business: see ``TokenVerifier`` and ``HopIdentity``.
    public init(
        issuer: String, subject: String, client: String, scopes: Scopes, hotelIDs: HotelAccess, method: Method
    ) {
        self.issuer = issuer
        self.subject = subject
        self.client = client
        clientKey = Self.clientKey(issuer: issuer, client: client)
        self.scopes = scopes
        self.hotelIDs = hotelIDs
        self.method = method
        encoded =
            Form(
                issuer: issuer, subject: subject, client: client, scopes: scopes, hotelIDs: hotelIDs, method: method
            ).encoded
    }

    /// Reads what ``encoded`` holds; `nil` if it is anything else.
    init?(encoded: String) {
        guard let bytes = Base64.url.decode(encoded),
            let form = try? JSONDecoder().decode(Form.self, from: Data(bytes))
        else { return nil }
        issuer = form.issuer
        subject = form.subject
        client = form.client
        clientKey = Self.clientKey(issuer: form.issuer, client: form.client)
        scopes = form.scopes
        hotelIDs = form.hotelIDs
        method = form.method
        self.encoded = encoded
    }

    private static let longestKey = 255

    /// Issuer and client with a blank between them, or a digest of both where that would be long or could be read in
    /// two ways. A digest has no blank, so the two forms never meet.
    public static func clientKey(issuer: String, client: String) -> String {
        let key = "\(issuer) \(client)"
        if key.utf8.count <= longestKey, issuer.utf8.allSatisfy({ 0x21...0x7E ~= $0 }) { return key }
        let digest = SHA256.hash("\(issuer.utf8.count) \(key)".utf8.span)
        return Hexadecimal.encode(digest.bytes)
    }

    /// The JSON both processes agree on; short names because it travels with every request.
    private struct Form: Codable {
        let issuer: String
        let subject: String
        let client: String
        let scopes: Scopes
        let hotelIDs: HotelAccess
        let method: Method

        enum CodingKeys: String, CodingKey {
            case issuer = "iss"
            case subject = "sub"
            case client
            case scopes = "scope"
            case hotelIDs = "hotels"
            case method
        }

        var encoded: String {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
            // Strings, integers and enumerations always have a JSON form.
            guard let json = try? encoder.encode(self) else { preconditionFailure("an identity without JSON form") }
            return Base64.url.encode([UInt8](json))
        }
    }
}

extension Identity: Equatable {
    /// Two identities are equal when all they say is.
    public static func == (left: Identity, right: Identity) -> Bool {
        left.issuer == right.issuer && left.subject == right.subject && left.client == right.client
            && left.scopes == right.scopes && left.hotelIDs == right.hotelIDs && left.method == right.method
    }
}

/// The hotels an identity may see.
public enum HotelAccess: Sendable, Equatable {
    /// Every hotel of the installation.
    case all
    /// These hotels only, in ascending order and each once; see ``HotelAccess/of(_:)``.
    case some([Int32])

    /// No hotel at all.
    public static let none = HotelAccess.some([])

    /// Access to the hotels given, in any order.
    public static func of(_ hotelIDs: some Sequence<Int32>) -> HotelAccess { .some(Set(hotelIDs).sorted()) }

    /// The hotels one by one, in ascending order; `nil` for every hotel.
    public var ids: [Int32]? { if case .some(let ids) = self { ids } else { nil } }

    /// Whether all of some other hotels are among them.
    public func covers(_ other: HotelAccess) -> Bool {
        switch (self, other) {
        case (.all, _): true
        case (.some, .all): false
        case (.some, .some(let hotelIDs)): hotelIDs.allSatisfy(includes)
        }
    }

    /// Whether a hotel is among them.
    public func includes(_ hotelID: Int32) -> Bool {
        guard case .some(let hotelIDs) = self else { return true }
        var (start, end) = (0, hotelIDs.count)
        while start < end {
            let middle = (start + end) / 2
            if hotelIDs[middle] == hotelID { return true }
            if hotelIDs[middle] < hotelID { start = middle + 1 } else { end = middle }
        }
        return false
    }
}

extension HotelAccess: Codable {
    /// The word that stands for every hotel, in tokens and between the processes.
    static let wildcard = "*"

    /// Reads `"*"` or a list of hotel numbers.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if let word = try? container.decode(String.self) {
            guard word == Self.wildcard else {
                throw DecodingError.dataCorruptedError(in: container, debugDescription: "neither * nor a list")
            }
            self = .all
        } else {
            self = .of(try container.decode([Int32].self))
        }
    }

    /// Writes `"*"` or the list of hotel numbers.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .all: try container.encode(Self.wildcard)
        case .some(let hotelIDs): try container.encode(hotelIDs)
        }
    }
}
