import Cryptography
import Testing

@testable import Authentication

@Suite("Key sets that issuers publish")
struct KeySetTests {
    /// The public keys of RFC 7515 A.2 and A.3 as JWK.
    private static let rsa = #""kty":"RSA","n":"\#(RFC7515.modulus)","e":"AQAB""#
    private static let ec = #""kty":"EC","crv":"P-256","x":"\#(RFC7515.x)","y":"\#(RFC7515.y)""#

    private func ids(_ keys: String..., algorithms: Set<SignatureAlgorithm> = [.rs256, .es256]) -> [String]? {
        let json = #"{"keys":[\#(keys.map { "{\($0)}" }.joined(separator: ","))],"more":1}"#
        return (try? KeySet(json: Array(json.utf8), algorithms: algorithms))?.keys.map(\.keyID)
    }

    @Test("RSA and P-256 keys check what was signed with them")
    func verifies() throws {
        let json = #"{"keys":[{"kid":"a2",\#(Self.rsa)},{"kid":"a3",\#(Self.ec),"use":"sig","alg":"ES256"}]}"#
        let set = try KeySet(json: Array(json.utf8), algorithms: [.rs256, .es256])
        #expect(set.keys.map(\.algorithm) == [.rs256, .es256])
        #expect(TokenSignature.isValid(of: RFC7515.rs256, key: set.keys[0]))
        #expect(TokenSignature.isValid(of: RFC7515.es256, key: set.keys[1]))
    }

    @Test("Keys for other readers are left out, the others stay")
    func omitted() throws {
        let others = [
            #""kid":"x",\#(Self.rsa),"use":"enc""#, #""kid":"x",\#(Self.rsa),"key_ops":["encrypt"]"#,
            #""kid":"x",\#(Self.rsa),"alg":"PS256""#, #""kid":"x",\#(Self.ec),"alg":"RS256""#,
            #""kid":"x","kty":"oct","k":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","alg":"HS256""#,
            #""kid":"x","kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo""#,
            #""kid":"x","kty":"EC","crv":"P-384","x":"\#(RFC7515.x)","y":"\#(RFC7515.y)""#, Self.rsa,
            #""kid":"../x",\#(Self.rsa)"#, #""kid":7,\#(Self.rsa)"#, #""kid":"x",\#(Self.rsa),"d":"AQAB""#, "",
            #""kid":"x",\#(Self.rsa),"use":null"#, #""kid":"x",\#(Self.rsa),"key_ops":"verify""#,
        ]
        for other in others {
            #expect(ids(other, #""kid":"good",\#(Self.ec)"#) == ["good"], "\(other)")
            #expect(ids(other) == nil, "\(other)")
        }
    }

    @Test("Keys that are damaged or weak are left out")
    func damaged() throws {
        let offCurve = RFC7515.y.dropLast(2) + "A0"
        let weak = Base64.url.encode([0xC1] + [UInt8](repeating: 0x55, count: 126) + [0x57])
        let others = [
            #""kty":"RSA","n":"\#(RFC7515.modulus)","e":"AQ""#, #""kty":"RSA","n":"\#(RFC7515.modulus)","e":"Ag""#,
            #""kty":"RSA","n":"\#(RFC7515.modulus)","e":"""#, #""kty":"RSA","n":"","e":"AQAB""#,
            #""kty":"RSA","n":"\#(RFC7515.modulus)==","e":"AQAB""#, #""kty":"RSA","n":"\#(weak)","e":"AQAB""#,
            #""kty":"RSA","n":"\#(RFC7515.modulus)""#,
            #""kty":"EC","crv":"P-256","x":"\#(RFC7515.x)","y":"\#(offCurve)""#,
            #""kty":"EC","crv":"P-256","x":"\#(RFC7515.x)","y":"AA""#, #""kty":"EC","crv":"P-256","x":"\#(RFC7515.x)""#,
        ]
        for other in others { #expect(ids(#""kid":"x",\#(other)"#) == nil, "\(other)") }
        #expect(!hasPendingOpenSSLErrors())
    }

    @Test("Of two keys with one id the first counts")
    func duplicates() throws { #expect(ids(#""kid":"a",\#(Self.rsa)"#, #""kid":"a",\#(Self.ec)"#) == ["a"]) }

    @Test("Only the algorithms that the policy expects of the issuer are taken")
    func algorithms() {
        let both = [#""kid":"r",\#(Self.rsa)"#, #""kid":"e",\#(Self.ec)"#]
        #expect(ids(both[0], both[1], algorithms: [.rs256]) == ["r"])
        #expect(ids(both[0], both[1], algorithms: [.es256]) == ["e"])
        #expect(ids(both[0], both[1], algorithms: [.hs256]) == nil)
    }

    @Test(
        "What is no key set is refused",
        arguments: ["", "{}", "[]", #"{"keys":{}}"#, #"{"keys":[]}"#, #"{"keys":[1]}"#, "<html>", #"{"keys":[{}]} x"#])
    func noSet(text: String) {
        #expect(throws: KeyRefusal.self) { try KeySet(json: Array(text.utf8), algorithms: [.rs256]) }
    }

    @Test("A set of too many keys or bytes is not looked at")
    func bounds() {
        let key = #"{"kid":"x","kty":"oct"}"#
        let many = #"{"keys":["# + Array(repeating: key, count: 101).joined(separator: ",") + "]}"
        let long = #"{"keys":[],"pad":"\#(String(repeating: "x", count: KeySet.maximumByteCount))"}"#
        for text in [many, long] {
            #expect(throws: KeyRefusal.self) { try KeySet(json: Array(text.utf8), algorithms: [.rs256]) }
        }
    }
}

@Suite("Keys that come and go")
struct PublishedKeyTests {
    private let first = P256PrivateKey()
    private let second = P256PrivateKey()
    private let verifier = TokenVerifier(issuers: [
        TrustedIssuer(
            issuer: TokenMaker.issuer, audience: "drawbridge", clockSkewInSeconds: 0, keys: [],
            keySetAlgorithms: [.es256])
    ])

    private func key(_ id: String, _ key: P256PrivateKey) throws -> VerificationKey {
        try TokenMaker.key(id, .es256, key.publicKey.pem)
    }

    private func token(_ id: String, _ key: P256PrivateKey) -> String {
        TokenMaker.es256(header: TokenMaker.header("ES256", kid: id), key: key)
    }

    private func refusal(_ token: String) -> AuthenticationError.Code? {
        do throws(AuthenticationError) {
            _ = try verifier.verify(token)
            return nil
        } catch { return error.code }
    }

    @Test("Tokens of a published key are believed, and remembered ones of a key that has gone are forgotten")
    func rotation() throws {
        let (old, new) = (token("1", first), token("2", second))
        #expect(refusal(old) == .unknownKey)
        verifier.replaceKeys(of: TokenMaker.issuer, with: [try key("1", first)])
        #expect(refusal(old) == nil && refusal(new) == .unknownKey)
        verifier.replaceKeys(of: TokenMaker.issuer, with: [try key("2", second), try key("1", first)])
        #expect(refusal(old) == nil && refusal(new) == nil)
        verifier.replaceKeys(of: TokenMaker.issuer, with: [try key("2", second)])
        #expect(refusal(old) == .unknownKey && refusal(new) == nil)
    }

    @Test("A key that is another one under the same id takes its tokens with it")
    func replaced() throws {
        let token = token("1", first)
        verifier.replaceKeys(of: TokenMaker.issuer, with: [try key("1", first)])
        #expect(refusal(token) == nil)
        verifier.replaceKeys(of: TokenMaker.issuer, with: [try key("1", second)])
        #expect(refusal(token) == .badSignature)
    }

    @Test("A key that stays keeps its tokens remembered")
    func kept() throws {
        let token = token("1", first)
        verifier.replaceKeys(of: TokenMaker.issuer, with: [try key("1", first)])
        let identity = try verifier.verify(token)
        verifier.replaceKeys(of: TokenMaker.issuer, with: [try key("1", first), try key("2", second)])
        #expect(try verifier.verify(token) === identity)
    }

    @Test("Only a token whose issuer may have published its key since asks for a look")
    func unknown() throws {
        func wanted(_ token: String, _ verifier: TokenVerifier) -> String? {
            verifier.unknownKey(of: token.utf8.span).map { "\($0.issuer) \($0.keyID)" }
        }
        #expect(wanted(token("9", first), verifier) == "\(TokenMaker.issuer) 9")
        verifier.replaceKeys(of: TokenMaker.issuer, with: [try key("1", first)])
        #expect(wanted(token("1", second), verifier) == nil)
        let foreign = TokenMaker.es256(claims: TokenMaker.claims(iss: #""https://evil.example""#))
        #expect(wanted(foreign, verifier) == nil)
        let pinned = TokenVerifier(issuers: [try TokenMaker.trustedIssuer()])
        #expect(wanted(token("9", first), pinned) == nil)
    }

    @Test("An unknown key id is looked for at most once in 30 seconds, and the same one not again for a while")
    func gate() {
        let second: UInt64 = 1_000_000_000
        var gate = RefetchGate()
        func admits(_ keyID: String, at seconds: UInt64) -> Bool { gate.admit(keyID, now: seconds * second) }
        #expect(admits("a", at: 0))
        gate.noteMissing("a", now: 0)
        #expect(!admits("b", at: 29))
        #expect(!admits("a", at: 31))
        #expect(admits("b", at: 31))
        #expect(!admits("a", at: 60))
        #expect(admits("a", at: 62))
        // Names made up push nothing out but each other.
        for number in 0..<10_000 { gate.noteMissing("\(number)", now: 62 * second) }
        #expect(!admits("9999", at: 93))
    }
}
