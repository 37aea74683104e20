import Cryptography
import Glibc
import Loop
import Testing

@Suite("Issuers that publish their keys")
struct IssuerKeyTests {
    init() { Loop.runInBackground() }

    private static let hotels = "/api/booking-engine/hotels"
    private static let issuer = "https://publisher.example"

    private func token(_ id: String, _ key: P256PrivateKey) -> String {
        var token = Token()
        token.issuer = Self.issuer
        token.keyID = id
        return token.signed(key)
    }

    @OnLoop
    private func status(_ node: Node, _ token: String) async throws -> Int {
        try await node.gateway.send(.get(Self.hotels, token)).status
    }

    @Test(
        "Their tokens are believed: from a new key at once, from old ones while they overlap, and while they are away")
    @OnLoop func lifeOfKeys() async throws {
        let publisher = try TestIssuer()
        let (first, second, third) = (P256PrivateKey(), P256PrivateKey(), P256PrivateKey())
        publisher.show([("1", first)])
        let node = try Node(ownsPolicies: true)
        node.trust(Self.issuer, at: publisher)
        try await node.start()
        try await wait("the first key") { try await self.status(node, self.token("1", first)) == 200 }

        // A key that was published after the last look is found by the token that names it.
        publisher.show([("2", second)])
        let before = publisher.requests
        #expect(try await status(node, token("2", second)) == 200)
        #expect(publisher.requests == before + 1)
        #expect(try await status(node, token("1", first)) == 200, "the old key overlaps")
        try await wait("every worker to know") {
            for _ in 0..<12 where try await self.status(node, self.token("2", second)) != 200 { return false }
            return true
        }

        // Names made up do not make us ask again and again.
        let asked = publisher.requests
        for number in 0..<20 { #expect(try await status(node, token("x\(number)", third)) == 401) }
        #expect(publisher.requests <= asked + 1)
        #expect(try await status(node, token("2", third)) == 401)

        // Its going away locks nobody out, not even when the bridge is started anew meanwhile, which has what was
        // written down before.
        try await wait("the set to be written down") {
            try await node.value(
                "SELECT count(*) FROM drawbridge.issuer_key_sets WHERE position('\"kid\":\"2\"' IN key_set) > 0") == "1"
        }
        await publisher.goAway()
        for _ in 0..<4 { #expect(try await status(node, token("2", second)) == 200) }
        kill(try node.processID("bridge"), SIGKILL)
        kill(try node.processID("gateway-0"), SIGKILL)
        try await wait("the bridge to be back") {
            for _ in 0..<12 where try await self.status(node, self.token("2", second)) != 200 { return false }
            return true
        }
        #expect(try await node.stop().isSuccess)
    }
}
