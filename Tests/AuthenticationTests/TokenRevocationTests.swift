import Testing

@testable import Authentication

@Suite("Revoked tokens")
struct TokenRevocationTests {
    private static let start: UInt64 = 1_000_000_000_000
    private let verifier: TokenVerifier

    init() throws {
        verifier = TokenVerifier(
            issuers: [try TokenMaker.trustedIssuer()], revocations: TokenRevocations(maximumStaleness: .seconds(60)))
    }

    private func token(_ tokenID: String?) -> String {
        TokenMaker.hs256(claims: TokenMaker.claims(more: tokenID.map { #""jti":\#($0),"# } ?? ""))
    }

    private func refusal(_ token: String) -> AuthenticationError.Code? {
        do throws(AuthenticationError) {
            _ = try verifier.verify(token)
            return nil
        } catch { return error.code }
    }

    private func revoke(_ entries: TokenRevocations.Entry..., version: Int64 = 1) {
        verifier.replaceRevocations(with: entries, version: version, confirmedAt: Self.start)
    }

    @Test("A token that is remembered is refused at once when it is revoked, and no other is")
    func remembered() {
        let (revoked, other, nameless) = (token(#""a""#), token(#""b""#), token(nil))
        for token in [revoked, other, nameless] { #expect(refusal(token) == nil) }
        revoke(.init(issuer: TokenMaker.issuer, tokenIDs: ["a"]))
        #expect(refusal(revoked) == .revoked)
        #expect(refusal(revoked) == .revoked, "it is not remembered as good")
        for token in [other, nameless] { #expect(refusal(token) == nil) }
    }

    @Test("Ids belong to their issuer, unless every issuer's is meant")
    func issuers() {
        revoke(.init(issuer: "https://other.example", tokenIDs: ["a"]))
        #expect(refusal(token(#""a""#)) == nil)
        revoke(.init(issuer: nil, tokenIDs: ["a"]), version: 2)
        #expect(refusal(token(#""a""#)) == .revoked)
        #expect(refusal(token(#""A""#)) == nil, "byte by byte")
    }

    @Test("A new state takes the place of the old one whole")
    func replacing() {
        revoke(.init(issuer: nil, tokenIDs: ["a", "b"]), .init(issuer: "x", tokenIDs: ["a"]))
        #expect(verifier.revocations.count == 3 && verifier.revocations.version == 1)
        revoke(.init(issuer: nil, tokenIDs: ["b"]), version: 2)
        #expect(refusal(token(#""a""#)) == nil)
        #expect(refusal(token(#""b""#)) == .revoked)
    }

    @Test("A revoked token that is not genuine is told from one that is")
    func forged() {
        revoke(.init(issuer: nil, tokenIDs: ["a"]))
        let forged = TokenMaker.hs256(
            claims: TokenMaker.claims(more: #""jti":"a","#), secret: Array(repeating: 1, count: 32))
        #expect(refusal(forged) == .badSignature)
    }

    @Test("What is known is believed for as long as the policy says, and not before anything is")
    func staleness() {
        let revocations = verifier.revocations
        #expect(!revocations.isFresh(at: Self.start))
        revoke()
        let end = Self.start + 60_000_000_000
        #expect(revocations.isFresh(at: end) && !revocations.isFresh(at: end + 1))
        revocations.confirm(at: Self.start + 1)
        #expect(revocations.isFresh(at: end + 1))
    }

    @Test(
        "An id by which a token could not be revoked makes it a bad one",
        arguments: ["7", "null", #""""#, #""\u0000""#, #""a\nb""#, #""\#(String(repeating: "x", count: 256))""#])
    func unusableIDs(json: String) { #expect(refusal(token(json)) == .badClaim) }

    @Test("A token says itself by what it can be revoked")
    func reference() throws {
        let reference = try TokenReference(token(#""a""#))
        #expect(reference.issuer == TokenMaker.issuer && reference.tokenID == "a")
        #expect(reference.expiry == TokenMaker.now + 600)
        for token in [token(nil), token("7"), "x", ""] {
            #expect(throws: AuthenticationError.self) { try TokenReference(token) }
        }
    }
}
