import Cryptography
import Testing

@testable import Authentication

@Suite("API keys")
struct APIKeyTests {
    private static let now = TokenMaker.now
    private static let start: UInt64 = 1_000_000_000_000

    private func entry(
        _ key: APIKey, id: Int32 = 1, hotels: HotelAccess = .all, expiresAt: Int64 = now + 100
    ) -> APIKeyRing.Entry {
        APIKeyRing.Entry(
            id: id, hash: key.hash, client: "engine", scopes: [.bookingRead], hotelIDs: hotels, expiresAt: expiresAt)
    }

    private func ring(_ entries: [APIKeyRing.Entry]) -> APIKeyRing {
        let ring = APIKeyRing(maximumStaleness: .seconds(60))
        ring.replace(with: entries, version: 1, confirmedAt: Self.start)
        return ring
    }

    private func refusal(
        _ text: String, by ring: APIKeyRing, now: Int64 = now, instant: UInt64 = start
    ) -> AuthenticationError.Code? {
        do throws(AuthenticationError) {
            _ = try ring.verify(text.utf8.span, now: now, instant: instant)
            return nil
        } catch { return error.code }
    }

    @Test("A key has a prefix, 256 random bits and a checksum")
    func form() throws {
        let key = APIKey()
        #expect(key.text.wholeMatch(of: /dbk_[A-Za-z0-9_-]{48}/) != nil)
        #expect(APIKey(key.text)?.text == key.text)
        #expect(APIKey().text != key.text)
        #expect("\(key)" == "dbk_…")
    }

    @Test("A key with any character changed, or of another length, has no form")
    func noForm() {
        let text = Array(APIKey().text.utf8)
        for index in text.indices {
            var other = text
            other[index] = other[index] == UInt8(ascii: "A") ? UInt8(ascii: "B") : UInt8(ascii: "A")
            #expect(APIKey(String(decoding: other, as: UTF8.self)) == nil)
        }
        let key = String(decoding: text, as: UTF8.self)
        for other in ["", "dbk_", key + "A", String(key.dropLast()), key + "\n", " " + key, key.uppercased()] {
            #expect(APIKey(other) == nil, "\(other)")
        }
    }

    @Test("A key proves its client with its scopes and hotels")
    func proves() throws {
        let key = APIKey()
        let identity = try ring([entry(key, id: 7, hotels: .of([3]))])
            .verify(key.text.utf8.span, now: Self.now, instant: Self.start)
        #expect(
            identity
                == Identity(
                    issuer: "urn:drawbridge:client", subject: "api-key-7", client: "engine", scopes: [.bookingRead],
                    hotelIDs: .of([3]), method: .apiKey))
    }

    @Test("Another key is unknown, one that is none is malformed, and an expired one has expired")
    func refusals() {
        let key = APIKey()
        let ring = ring([entry(key)])
        #expect(refusal(APIKey().text, by: ring) == .unknownKey)
        #expect(refusal("dbk_" + String(repeating: "A", count: 48), by: ring) == .malformed)
        #expect(refusal(key.text, by: ring, now: Self.now + 99) == nil)
        #expect(refusal(key.text, by: ring, now: Self.now + 100) == .expired)
    }

    @Test("A new state takes the place of the old one whole: what is not in it opens nothing any more")
    func revocation() {
        let (old, new) = (APIKey(), APIKey())
        let ring = ring([entry(old)])
        ring.replace(with: [entry(new)], version: 2, confirmedAt: Self.start)
        #expect(refusal(old.text, by: ring) == .unknownKey)
        #expect(refusal(new.text, by: ring) == nil)
        #expect(ring.version == 2)
    }

    @Test("Keys that nobody confirms are believed for a while, then nothing is said about any")
    func staleness() {
        let key = APIKey()
        let ring = ring([entry(key)])
        let second: UInt64 = 1_000_000_000
        #expect(refusal(key.text, by: ring, instant: Self.start + 60 * second) == nil)
        #expect(refusal(key.text, by: ring, instant: Self.start + 60 * second + 1) == .unavailable)
        ring.confirm(at: Self.start + 50 * second)
        #expect(refusal(key.text, by: ring, instant: Self.start + 110 * second) == nil)
        // An answer that was under way for long is no newer for that.
        ring.confirm(at: Self.start)
        #expect(refusal(key.text, by: ring, instant: Self.start + 110 * second) == nil)
        #expect(refusal(key.text, by: APIKeyRing(maximumStaleness: .seconds(60))) == .unavailable)
    }

    @Test("No more keys are held than the bound allows")
    func bound() {
        let key = APIKey()
        let ring = APIKeyRing(maximumStaleness: .seconds(60))
        let many = (0..<APIKeyRing.maximumCount).map { number in
            APIKeyRing.Entry(
                id: Int32(number), hash: SHA256.hash("\(number)"), client: "c", scopes: [], hotelIDs: .none,
                expiresAt: Self.now + 1)
        }
        ring.replace(with: many + [entry(key)], version: 1, confirmedAt: Self.start)
        #expect(ring.count == APIKeyRing.maximumCount)
        #expect(refusal(key.text, by: ring) == .unknownKey)
    }

    @Test("Each key's last use is told once, and again when it could not be reported")
    func uses() {
        let (key, other) = (APIKey(), APIKey())
        let ring = ring([entry(key, id: 1), entry(other, id: 2)])
        for now in [Self.now, Self.now + 5] { #expect(refusal(key.text, by: ring, now: now) == nil) }
        let uses = ring.takeUses()
        #expect(uses == [1: Self.now + 5])
        #expect(ring.takeUses().isEmpty)
        ring.putBack(uses)
        #expect(refusal(key.text, by: ring, now: Self.now + 9) == nil)
        #expect(ring.takeUses() == [1: Self.now + 9])
    }

    @Test("A key is never taken for a token, nor a token for a key")
    func notAToken() throws {
        let key = APIKey()
        let field = "Bearer \(key.text)"
        let credentials = try BearerCredentials(field.utf8.span)
        #expect(credentials.method == .apiKey && credentials.range == 7..<field.utf8.count)
        #expect(try BearerCredentials("bearer \(TokenMaker.hs256())".utf8.span).method == .jwt)
        let verifier = TokenVerifier(issuers: [try TokenMaker.trustedIssuer()])
        for text in [key.text, key.text + ".e30.AAAA"] {
            #expect(throws: AuthenticationError.self) { try verifier.verify(text) }
        }
        #expect(refusal(TokenMaker.hs256(), by: ring([entry(key)])) == .malformed)
        for field in ["Basic \(key.text)", key.text, "Bearer", "Bearer "] {
            #expect(throws: AuthenticationError.self) { try BearerCredentials(field.utf8.span) }
        }
    }

    @Test("A refusal names each scheme once and nothing else")
    func challenges() {
        #expect(Challenge.fields([.jwt, .apiKey]) == ["Bearer realm=\"drawbridge\""])
    }
}
