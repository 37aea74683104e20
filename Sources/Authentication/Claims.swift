/// The claims of a token whose signature has been checked, as far as the gateway goes by them.
struct Claims {
    /// Past this a time is a mistake, not a date (the year 9999).
    private static let latestTime: Int64 = 253_402_300_799
    private static let longestName = 255

    let identity: Identity
    /// The instants at which the token is good, skew included.
    let validity: Range<Int64>
    /// By what it can be revoked: its `jti`, and of our own what its issuer names families of tokens by, and its
    /// subject, which names an API key.
    let revocationIDs: [String]

    /// Reads the claims the way the issuer's configuration says.
    init(_ claims: [String: JSONValue], issuer: TrustedIssuer) throws(AuthenticationError) {
        try Self.checkAudience(claims["aud"], expected: issuer.audience)
        guard let expiry = try Self.time(claims["exp"]) else {
            throw AuthenticationError(.badClaim, "a token without expiry")
        }
        let skew = issuer.clockSkewInSeconds
        let notBefore = try Self.time(claims["nbf"]) ?? 0
        let issuedAt = try Self.time(claims["iat"])
        // A token is good before `exp`, not at it (RFC 7519 §4.1.4).
        guard notBefore < expiry, issuedAt ?? 0 <= expiry else {
            throw AuthenticationError(.badClaim, "the token's times contradict each other")
        }
        validity = max(notBefore, issuedAt ?? 0) - skew..<expiry + skew
        let names = ["jti"] + (issuer.familyClaim.map { [$0, "sub"] } ?? [])
        var revocationIDs: [String] = []
        for name in names {
            if let id = try Self.name(claims[name], "a token id of a form not accepted") { revocationIDs.append(id) }
        }
        self.revocationIDs = revocationIDs
        identity = try Self.identity(claims, issuer)
    }

    /// Refuses a token outside its time.
    func checkTimes(now: Int64) throws(AuthenticationError) {
        guard now < validity.upperBound else { throw AuthenticationError(.expired, "the token has expired") }
        guard now >= validity.lowerBound else {
            throw AuthenticationError(.notYetValid, "the token is not valid yet, or issued in the future")
        }
    }

    private static func checkAudience(_ claim: JSONValue?, expected: String) throws(AuthenticationError) {
        let audiences: [JSONValue] =
            switch claim {
            case .string?: [claim!]
            case .array(let elements)?: elements
            default: []
            }
        guard audiences.contains(.string(expected)) else {
            throw AuthenticationError(.wrongAudience, "the token is not meant for this installation")
        }
    }

    /// A NumericDate (RFC 7519 §2) in whole seconds; `nil` where the claim is absent.
    private static func time(_ claim: JSONValue?) throws(AuthenticationError) -> Int64? {
        switch claim {
        case nil: return nil
        case .integer(let seconds)? where (0...latestTime).contains(seconds): return seconds
        case .number(let seconds)? where seconds >= 0 && seconds <= Double(latestTime): return Int64(seconds)
        default: throw AuthenticationError(.badClaim, "a time that is not one")
        }
    }

    private static func identity(
        _ claims: [String: JSONValue], _ issuer: TrustedIssuer
    ) throws(AuthenticationError) -> Identity {
        let names = issuer.claimNames
        guard let subject = try name(claims["sub"]) else {
            throw AuthenticationError(.badClaim, "a token without subject")
        }
        return Identity(
            issuer: issuer.vouchesFor ?? issuer.issuer, subject: subject,
            client: try name(claims[names.client]) ?? subject,
            scopes: try scopes(claims[names.scopes]), hotelIDs: try hotelIDs(claims[names.hotelIDs]), method: .jwt)
    }

    /// Whether a text is fit for logs and keys: not empty, not long, without control characters.
    static func isName(_ text: String) -> Bool {
        (1...longestName).contains(text.utf8.count)
            && text.unicodeScalars.allSatisfy { $0.properties.generalCategory != .control }
    }

    private static func name(
        _ claim: JSONValue?, _ refusal: String = "a subject or client of a form not accepted"
    ) throws(AuthenticationError) -> String? {
        guard let claim else { return nil }
        guard case .string(let name) = claim, isName(name) else { throw AuthenticationError(.badClaim, refusal) }
        return name
    }

    /// The scopes we know; an issuer may grant others to other services.
    private static func scopes(_ claim: JSONValue?) throws(AuthenticationError) -> Scopes {
        switch claim {
        case nil: return []
        case .string(let words)?: return Scopes(words.split(separator: " ").compactMap { Scope(rawValue: String($0)) })
        default: throw AuthenticationError(.badClaim, "scopes that are not a string")
        }
    }

    private static func hotelIDs(_ claim: JSONValue?) throws(AuthenticationError) -> HotelAccess {
        switch claim {
        case nil: return .none
        case .string(HotelAccess.wildcard)?: return .all
        case .array(let elements)?:
            var hotelIDs: [Int32] = []
            for element in elements {
                guard case .integer(let number) = element, number > 0, let hotelID = Int32(exactly: number) else {
                    throw AuthenticationError(.badClaim, "a hotel id that is not one")
                }
                hotelIDs.append(hotelID)
            }
            return .of(hotelIDs)
        default: throw AuthenticationError(.badClaim, "hotel ids that are neither a list nor *")
        }
    }
}
