/// What stands in `Authorization: Bearer …` (RFC 6750 §2.1): a token or an API key, told apart by how it begins.
public struct BearerCredentials: Sendable, Equatable {
    /// What the credentials are meant to be.
    public let method: Identity.Method
    /// Where they stand in the field's value.
    public let range: Range<Int>

    /// Looks at a field's value as received.
    public init(_ field: Span<UInt8>) throws(AuthenticationError) {
        guard let start = BearerScheme.credentialsStart(in: field) else {
            throw AuthenticationError(.unsupportedScheme, "not a bearer token")
        }
        range = start..<field.count
        method = APIKey.isMeant(by: field.extracting(range)) ? .apiKey : .jwt
    }
}
