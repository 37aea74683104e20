import Cryptography
import Testing

@testable import Authentication

@Suite("Refresh tokens")
struct RefreshTokenTests {
    @Test("A token is read back, names its family as its successor does, and has a secret of its own")
    func form() throws {
        let token = RefreshToken()
        #expect(token.text.hasPrefix("dbr_") && token.text.utf8.count == RefreshToken.characterCount)
        let read = try #require(RefreshToken(token.text))
        #expect(read.familyHash == token.familyHash && read.secretHash == token.secretHash)
        let successor = token.successor()
        #expect(successor.familyHash == token.familyHash && successor.secretHash != token.secretHash)
        #expect(RefreshToken().familyHash != token.familyHash)
        #expect("\(token)" == "dbr_…")
    }

    @Test("A token that was damaged on its way is none, rather than one that was spent")
    func damaged() {
        let text = Array(RefreshToken().text.utf8)
        for index in text.indices {
            var other = text
            other[index] = other[index] == UInt8(ascii: "A") ? UInt8(ascii: "B") : UInt8(ascii: "A")
            #expect(RefreshToken(String(decoding: other, as: UTF8.self)) == nil)
            #expect(RefreshToken(String(decoding: text.prefix(index), as: UTF8.self)) == nil)
        }
        for text in ["", "dbr_", APIKey().text, RefreshToken().text + "A", "dbr_" + String(repeating: "é", count: 35)] {
            #expect(RefreshToken(text) == nil)
        }
    }
}

@Suite("Families of refresh tokens")
struct RefreshFamilyTests {
    private func hash(_ number: Int) -> Digest256 { SHA256.hash("\(number)") }

    private func family(expiresAt: Int64 = 1000, idleExpiresAt: Int64 = 100) -> RefreshFamily {
        RefreshFamily(secret: hash(0), expiresAt: expiresAt, idleExpiresAt: idleExpiresAt)
    }

    @Test("A token is good once; when it comes again the family ends, and its successor with it")
    func reuse() {
        var family = family()
        #expect(family.present(hash(0), successor: hash(1), idle: 100, keyEnd: 9999, now: 1) == .renewed)
        #expect(family.idleExpiresAt == 101)
        #expect(family.present(hash(0), successor: hash(2), idle: 100, keyEnd: 9999, now: 2) == .reused)
        #expect(family.end == .reuse)
        #expect(family.present(hash(1), successor: hash(3), idle: 100, keyEnd: 9999, now: 3) == .refused(.ended))
    }

    @Test("It ends when nobody uses it, when it is old, and with its key")
    func ends() {
        var idle = family()
        #expect(idle.present(hash(0), successor: hash(1), idle: 100, keyEnd: 9999, now: 100) == .refused(.expired))
        var old = family(expiresAt: 150, idleExpiresAt: 100)
        #expect(old.present(hash(0), successor: hash(1), idle: 100, keyEnd: 9999, now: 99) == .renewed)
        #expect(old.idleExpiresAt == 150)
        #expect(old.present(hash(1), successor: hash(2), idle: 100, keyEnd: 9999, now: 150) == .refused(.expired))
        for keyEnd: Int64? in [nil, 50] {
            var keyless = family()
            #expect(keyless.present(hash(0), successor: hash(1), idle: 9, keyEnd: keyEnd, now: 50) == .refused(.key))
            #expect(keyless == family())
        }
        // A spent one says that it was copied, however late it comes: access tokens may live.
        var late = family()
        #expect(late.present(hash(7), successor: hash(1), idle: 100, keyEnd: nil, now: 5000) == .reused)
        #expect(late.end == .reuse)
    }

    @Test("A family that made room for another is of no use, and a spent token of it tells of a copy all the same")
    func limit() {
        var limited = RefreshFamily(secret: hash(0), expiresAt: 1000, idleExpiresAt: 100, end: .limit)
        #expect(limited.present(hash(0), successor: hash(1), idle: 9, keyEnd: 9999, now: 1) == .refused(.ended))
        #expect(limited.end == .limit)
        #expect(limited.present(hash(7), successor: hash(1), idle: 9, keyEnd: 9999, now: 1) == .reused)
        #expect(limited.end == .reuse)
        var keyless = RefreshFamily(secret: hash(0), expiresAt: 1000, idleExpiresAt: 100, end: .key)
        #expect(keyless.present(hash(7), successor: hash(1), idle: 9, keyEnd: 9999, now: 1) == .refused(.ended))
    }

    @Test("However requests of an owner and a thief follow one another, a spent token ends it, and one is good at most")
    func interleavings() {
        let seed = UInt64.random(in: 0 ... .max)
        var random = Generator(seed)
        for _ in 0..<2000 {
            var family = family(expiresAt: 10_000, idleExpiresAt: 300)
            var (given, now) = ([0], Int64(0))
            var spent: Set<Int> = []
            var hasEnded = false
            for _ in 0..<20 {
                now += Int64.random(in: 0...120, using: &random)
                let presented =
                    Int.random(in: 0..<3, using: &random) == 0 ? given.randomElement(using: &random)! : given.last!
                let keyEnd: Int64? = Int.random(in: 0..<30, using: &random) == 0 ? nil : 20_000
                let before = family
                let verdict = family.present(
                    hash(presented), successor: hash(given.count), idle: 300, keyEnd: keyEnd, now: now)
                switch verdict {
                case .renewed:
                    #expect(!hasEnded && !spent.contains(presented) && keyEnd != nil, "seed \(seed)")
                    #expect(now < before.idleExpiresAt && now < before.expiresAt, "seed \(seed)")
                    spent.insert(presented)
                    given.append(given.count)
                case .reused:
                    #expect(!hasEnded && spent.contains(presented), "seed \(seed)")
                    hasEnded = true
                case .refused(let reason):
                    #expect(family == before, "seed \(seed)")
                    #expect((reason == .ended) == hasEnded, "seed \(seed)")
                    #expect(hasEnded || !spent.contains(presented), "seed \(seed): a spent token is told apart")
                }
                #expect((family.end != nil) == hasEnded, "seed \(seed)")
            }
        }
    }
}

@Suite("Our own tokens")
struct OwnTokenTests {
    private static let issuer = "urn:drawbridge:tokens"
    private static let now: Int64 = 1_800_000_000

    private func verifier(_ keys: [SigningKey], revoked: [String] = []) throws -> TokenVerifier {
        let verifier = TokenVerifier(
            issuers: [
                TrustedIssuer(
                    issuer: Self.issuer, audience: "drawbridge", clockSkewInSeconds: 5, tokenType: AccessToken.type,
                    keys: [], keySetAlgorithms: [.es256], vouchesFor: Identity.ownClients,
                    familyClaim: AccessToken.familyClaim)
            ])
        let set = JSONWebKey.set(keys.compactMap { JSONWebKey(id: $0.id, $0.privateKey.publicKey) })
        verifier.replaceKeys(
            of: Self.issuer, with: try KeySet(json: Array(set.utf8), algorithms: [.es256]).keys)
        verifier.replaceRevocations(
            with: [.init(issuer: Self.issuer, tokenIDs: revoked)], version: 1, confirmedAt: 0)
        return verifier
    }

    private func token(_ change: (inout AccessToken) -> Void = { _ in }) -> AccessToken {
        var token = AccessToken(
            issuer: Self.issuer, audience: "drawbridge", subject: Identity.apiKeySubject(12), client: "engine",
            scopes: [.hotelRead, .bookingWrite], hotelIDs: .of([3, 1]), tokenID: "token-1", familyID: "family-1",
            issuedAt: Self.now, expiresAt: Self.now + 900)
        change(&token)
        return token
    }

    @Test("They are believed by the published set, and stand for the client of the API key")
    func believed() throws {
        let key = SigningKey()
        let identity = try verifier([SigningKey(), key]).verify(token().signed(with: key), now: Self.now)
        let byKey = Identity(
            issuer: Identity.ownClients, subject: "api-key-12", client: "engine", scopes: [.hotelRead, .bookingWrite],
            hotelIDs: .of([1, 3]), method: .apiKey)
        #expect(identity.clientKey == byKey.clientKey && identity.scopes == byKey.scopes)
        #expect(identity.hotelIDs == byKey.hotelIDs && identity.apiKeyID == 12 && identity.method == .jwt)
        #expect(throws: AuthenticationError.self) {
            try verifier([SigningKey()]).verify(token().signed(with: key), now: Self.now)
        }
    }

    @Test(
        "One is revoked by its own id, its family's or its API key's, a remembered one too",
        arguments: ["token-1", "family-1", "api-key-12"])
    func revoked(id: String) throws {
        let key = SigningKey()
        let (text, verifier) = (token().signed(with: key), try verifier([key]))
        _ = try verifier.verify(text, now: Self.now)
        verifier.replaceRevocations(with: [.init(issuer: Self.issuer, tokenIDs: [id])], version: 2, confirmedAt: 0)
        #expect(throws: AuthenticationError(.revoked, "the token has been revoked")) {
            try verifier.verify(text, now: Self.now)
        }
        let examined = try verifier.examine(text.utf8.span, now: Self.now)
        #expect(examined.fault?.code == .revoked && examined.identity.client == "engine")
        #expect(examined.expiresAt == Self.now + 900)
    }

    @Test("What there is to say about one that has expired names it all the same; a forged one nobody")
    func examined() throws {
        let (key, other) = (SigningKey(), SigningKey())
        let verifier = try verifier([key])
        let text = token().signed(with: key)
        #expect(try verifier.examine(text.utf8.span, now: Self.now).fault == nil)
        #expect(try verifier.examine(text.utf8.span, now: Self.now + 905).fault?.code == .expired)
        #expect(try verifier.examine(text.utf8.span, now: Self.now - 6).fault?.code == .notYetValid)
        let forged = token().signed(with: SigningKey(id: key.id, privateKey: other.privateKey))
        #expect(throws: AuthenticationError.self) { try verifier.examine(forged.utf8.span, now: Self.now) }
        let elsewhere = token { $0.audience = "elsewhere" }.signed(with: key)
        #expect(throws: AuthenticationError.self) { try verifier.examine(elsewhere.utf8.span, now: Self.now) }
    }

    @Test("The example of RFC 7638's kind: a key's name is the thumbprint of its public half, and no two are the same")
    func names() throws {
        let key = SigningKey()
        #expect(VerificationKey.isKeyID(key.id) && key.id.utf8.count == 43)
        #expect(SigningKey.id(of: key.privateKey.publicKey) == key.id)
        #expect(SigningKey().id != key.id)
    }

    @Test("A signing key opens under its master key and its own name, and under nothing else")
    func sealed() throws {
        let (master, key) = (try MasterKey(text: MasterKey.makeText()), SigningKey())
        let sealed = master.seal(key)
        #expect(try master.open(sealed, id: key.id).privateKey.pem == key.privateKey.pem)
        #expect(!String(decoding: sealed, as: UTF8.self).contains("PRIVATE"))
        let other = try MasterKey(text: MasterKey.makeText())
        #expect(other.id != master.id)
        #expect(throws: CryptographyError.self) { try other.open(sealed, id: key.id) }
        #expect(throws: CryptographyError.self) { try master.open(sealed, id: SigningKey().id) }
        for text in ["", "noise", "AAAA", Base64.standard.encode([UInt8](repeating: 1, count: 31))] {
            #expect(throws: CryptographyError.self) { try MasterKey(text: text) }
        }
    }

    @Test("Whoever has proven nothing may do nothing, and no scheme is asked of him")
    func anonymous() {
        #expect(Identity.anonymous.scopes.isEmpty && Identity.anonymous.hotelIDs == .none)
        #expect(Identity.anonymous.apiKeyID == nil)
        #expect(Challenge.fields([.anonymous]) == [])
        #expect(Challenge.fields([.apiKey, .jwt, .anonymous]) == ["Bearer realm=\"drawbridge\""])
    }
}
