import Cryptography
import Testing

@testable import Authentication

@Suite("The identity between gateway and bridge")
struct HopIdentityTests {
    private let identity = Identity(
        issuer: "https://issuer.example", subject: "予約 \"engine\"", client: "web", scopes: [.bookingRead, .admin],
        hotelIDs: .of([7, 2]), method: .jwt)
    private let now: Int64 = 1_800_000_000

    private func hop(_ key: [UInt8] = .init(repeating: 9, count: 32)) throws -> HopIdentity {
        try HopIdentity(key: key.span)
    }

    private func sign(_ hop: HopIdentity) -> String {
        hop.sign(identity, requestID: "r-1", method: "GET", target: "/a?b=c", now: now)
    }

    @Test("What the gateway signs the bridge reads")
    func roundTrip() throws {
        let value = sign(try hop())
        let read = try hop().verify(value, requestID: "r-1", method: "GET", target: "/a?b=c", now: now)
        #expect(read == identity)
    }

    @Test("The value fits a header field")
    func characters() throws {
        #expect(sign(try hop()).utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F })
    }

    @Test(
        "It belongs to one request id, one method and one target",
        arguments: [
            ("r-2", "GET", "/a?b=c"), ("r-1", "POST", "/a?b=c"), ("r-1", "GET", "/a?b=d"), ("r-1", "GET", "/a"),
            ("r-1G", "ET", "/a?b=c"), ("r-", "1GET", "/a?b=c"), ("r-1", "GET/", "a?b=c"), ("", "", ""),
        ])
    func bound(requestID: String, method: String, target: String) throws {
        let hop = try hop()
        let value = sign(hop)
        #expect(throws: AuthenticationError.self) {
            try hop.verify(value, requestID: requestID, method: method, target: target, now: now)
        }
    }

    @Test("It holds for 30 seconds either way", arguments: [(-31, false), (-30, true), (30, true), (31, false)])
    func timeBound(offset: Int64, holds: Bool) throws {
        let hop = try hop()
        let read = try? hop.verify(
            sign(hop), requestID: "r-1", method: "GET", target: "/a?b=c", now: now + offset)
        #expect((read != nil) == holds)
    }

    @Test("A gateway's own request proves itself, and neither proof passes for the other")
    func own() throws {
        let hop = try hop()
        let own = hop.signOwn(requestID: "r-1", method: "GET", target: "/a?b=c", now: now)
        func holds(_ value: String, id: String = "r-1", target: String = "/a?b=c", now: Int64) -> Bool {
            (try? hop.verifyOwn(value.utf8.span, requestID: id, method: "GET", target: target.utf8.span, now: now))
                != nil
        }
        #expect(holds(own, now: now))
        #expect(!holds(own, id: "r-2", now: now) && !holds(own, target: "/", now: now) && !holds(own, now: now + 31))
        #expect(!holds(sign(hop), now: now))
        #expect(throws: AuthenticationError.self) {
            try hop.verify(own, requestID: "r-1", method: "GET", target: "/a?b=c", now: now)
        }
        // Not even an identity that calls itself what the gateway calls itself.
        let parts = own.split(separator: ".")
        #expect(!holds("gateway.\(parts[1]).\(sign(hop).split(separator: ".")[2])", now: now))
    }

    @Test("Any changed character is noticed")
    func tampered() throws {
        let hop = try hop()
        let value = Array(sign(hop).utf8)
        for index in value.indices {
            var changed = value
            changed[index] = changed[index] == UInt8(ascii: "A") ? UInt8(ascii: "B") : UInt8(ascii: "A")
            let text = String(decoding: changed, as: UTF8.self)
            #expect(throws: AuthenticationError.self) {
                try hop.verify(text, requestID: "r-1", method: "GET", target: "/a?b=c", now: now)
            }
        }
    }

    @Test("Another key's signature is refused")
    func otherKey() throws {
        let value = sign(try hop(.init(repeating: 8, count: 32)))
        #expect(throws: AuthenticationError.self) {
            try hop().verify(value, requestID: "r-1", method: "GET", target: "/a?b=c", now: now)
        }
    }

    @Test("A time beyond all bounds is refused, even under the right key", arguments: [Int64.min, -1, 0, .max])
    func extremeTime(madeAt: Int64) throws {
        let hop = try hop()
        let value = hop.sign(identity, requestID: "r", method: "GET", target: "/", now: madeAt)
        #expect(throws: AuthenticationError.self) {
            try hop.verify(value, requestID: "r", method: "GET", target: "/", now: now)
        }
    }

    @Test("Noise is refused", arguments: ["", ".", "..", "...", "a.b.c", "a.1.c", "e30.1800000000."])
    func noise(value: String) throws {
        #expect(throws: AuthenticationError.self) {
            try hop().verify(value, requestID: "r-1", method: "GET", target: "/a?b=c", now: now)
        }
    }

    @Test("A key of another length than 32 bytes is refused", arguments: [0, 31, 33])
    func keyLength(count: Int) {
        #expect(throws: CryptographyError.self) { try hop(.init(repeating: 1, count: count)) }
    }

    @Test("Every access to hotels survives the hop")
    func hotelAccess() throws {
        for access in [HotelAccess.all, .none, .of([1]), .of(1...300)] {
            let identity = Identity(
                issuer: "i", subject: "s", client: "c", scopes: .all, hotelIDs: access, method: .jwt)
            #expect(Identity(encoded: identity.encoded) == identity)
        }
    }
}

@Suite("What an identity may see")
struct AccessTests {
    private func clientKey(_ issuer: String, _ client: String) -> String {
        Identity(issuer: issuer, subject: "s", client: client, scopes: [], hotelIDs: .none, method: .jwt).clientKey
    }

    @Test("Clients of two issuers never share a key, whatever they are called")
    func clientKeys() {
        #expect(clientKey("https://a.example", "web") == "https://a.example web")
        let long = String(repeating: "x", count: 255)
        let names = ["a", "b", "a b", "b c", "c", "", long, long + "y"]
        let keys = names.flatMap { issuer in names.map { clientKey(issuer, $0) } }
        #expect(Set(keys).count == names.count * names.count)
        #expect(keys.allSatisfy { $0.utf8.count <= 255 })
    }

    @Test("The client's key survives the hop")
    func clientKeyRoundTrip() throws {
        let identity = Identity(
            issuer: "https://issuer.example", subject: "s", client: "web", scopes: [], hotelIDs: .none, method: .jwt)
        let read = try #require(Identity(encoded: identity.encoded))
        #expect(read.clientKey == "https://issuer.example web")
        #expect(read.issuer == identity.issuer)
    }

    @Test("Exactly the listed hotels are included")
    func includes() {
        let access = HotelAccess.of([9, 3, 5, 3])
        #expect(access == .some([3, 5, 9]))
        #expect((0...10).filter { access.includes($0) } == [3, 5, 9])
        #expect(HotelAccess.all.includes(12))
        #expect(!HotelAccess.none.includes(1))
    }

    @Test("A set of scopes contains what was put in and nothing else")
    func scopes() {
        for scope in Scope.allCases { #expect(Scopes([scope]).members == [scope]) }
        #expect(Scopes.all.members == Scope.allCases)
        #expect(Scopes.all.isSuperset(of: [.admin, .bookingRead]))
        #expect(!Scopes([.bookingRead]).isSuperset(of: [.bookingRead, .bookingWrite]))
    }
}

@Suite("The bounded cache")
struct BoundedCacheTests {
    @Test("It never holds more than its capacity and keeps what was used")
    func eviction() {
        var cache = BoundedCache<Int, String>(capacity: 3)
        for key in 1...3 { cache.insert("\(key)", for: key) }
        #expect(cache.value(for: 2) == "2")
        for key in 4...5 { cache.insert("\(key)", for: key) }
        #expect(cache.count == 3)
        #expect(cache.value(for: 2) == "2")
        #expect(cache.value(for: 1) == nil)
        #expect(cache.value(for: 5) == "5")
    }

    @Test("It makes room even when every entry was used")
    func allUsed() {
        var cache = BoundedCache<Int, Int>(capacity: 4)
        for key in 0..<1000 {
            cache.insert(key, for: key)
            for known in 0...key { _ = cache.value(for: known) }
        }
        #expect(cache.count == 4)
        #expect(cache.value(for: 999) == 999)
    }

    @Test("A second value for a key takes the first one's place")
    func replaces() {
        var cache = BoundedCache<Int, Int>(capacity: 2)
        cache.insert(1, for: 1)
        cache.insert(2, for: 1)
        #expect(cache.count == 1)
        #expect(cache.value(for: 1) == 2)
    }
}
