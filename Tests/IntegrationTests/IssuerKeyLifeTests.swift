import Cryptography
import Glibc
import Loop
import Testing

@Suite("Keys that issuers publish, while time passes and policies change", .serialized)
struct IssuerKeyLifeTests {
    init() { Loop.runInBackground() }

    private static let issuer = "https://publisher.example"

    private func token(_ id: String, _ key: P256PrivateKey, issuer: String = Self.issuer) -> String {
        var token = Token()
        token.issuer = issuer
        token.keyID = id
        return token.signed(key)
    }

    @Test(
        "A rotated set is known before the old one runs out, and a key that has gone takes remembered tokens with it",
        .timeLimit(.minutes(2)))
    @OnLoop func rotation() async throws {
        let publisher = try TestIssuer()
        let (first, second) = (P256PrivateKey(), P256PrivateKey())
        publisher.show([("1", first)])
        publisher.cacheControl = "max-age=3600"
        let node = try Node(ownsPolicies: true)
        node.trust(Self.issuer, at: publisher, "refresh: 10 s", "overlap: 8 s")
        try await node.start()
        let (old, new) = (token("1", first), token("2", second))
        try await wait("every worker to remember a token") { try await node.everyWorker(answers: 200, old) }

        // Nobody names the new key: it is found because the set is looked at again while it is fresh.
        publisher.show([("2", second)])
        let shown = Loop.monotonicNanoseconds
        try await wait("the next look") { publisher.instants.last ?? 0 > shown }
        // Never sooner than it may be; how much later is the machine's affair, within what was waited.
        for (one, next) in zip(publisher.instants, publisher.instants.dropFirst()) {
            #expect(next >= one + 7_000_000_000)
        }
        #expect(try await node.everyWorker(answers: 200, old), "the old key overlaps")
        await publisher.goAway()
        #expect(try await node.everyWorker(answers: 200, new))

        // The very token that was believed, and is remembered by every worker, is no more.
        try await wait("the overlap to end") { try await node.everyWorker(answers: 401, old) }
        #expect(try await node.everyWorker(answers: 200, new))
        #expect(try await node.stop().isSuccess)
    }

    @Test(
        "A reload lets the bridge look elsewhere and forget who is believed no more, and loses no request",
        .timeLimit(.minutes(3)))
    @OnLoop func reload() async throws {
        let (one, other, third) = (try TestIssuer(), try TestIssuer(), try TestIssuer())
        let keys = (0..<3).map { _ in P256PrivateKey() }
        one.show([("1", keys[0])])
        other.show([("2", keys[1])])
        third.show([("3", keys[2])])
        let node = try Node(ownsPolicies: true)
        let before = Files.text("\(node.policies)/issuers.yaml")
        let newcomer = "https://newcomer.example"
        node.trust(Self.issuer, at: one, "overlap: 3 s")
        try await node.start()
        let bridge = try node.processID("bridge")
        let (old, moved) = (token("1", keys[0]), token("2", keys[1]))
        let added = token("3", keys[2], issuer: newcomer)
        try await wait("the first key") { try await node.everyWorker(answers: 200, old) }

        let load = try Load(node, bookers: 2, readers: 3)
        try await load.wait(answers: 30)
        Files.write(before, to: "\(node.policies)/issuers.yaml")
        node.trust(Self.issuer, at: other, "overlap: 3 s")
        node.trust(newcomer, at: third)
        var result = try await node.policy("reload")
        #expect(result.exit.isSuccess && result.output == "the policies are in force\n", "\(result.output)")
        let asked = one.requests
        #expect(try await node.gateway.send(.get("/api/booking-engine/hotels", added)).status == 200)
        try await wait("the keys of the new place") { try await node.everyWorker(answers: 200, moved) }
        try await wait("the keys of the old place to be over") { try await node.everyWorker(answers: 401, old) }

        Files.write(before, to: "\(node.policies)/issuers.yaml")
        result = try await node.policy("reload")
        #expect(result.exit.isSuccess, "\(result.output)")
        for token in [moved, added] { #expect(try await node.everyWorker(answers: 401, token)) }
        try await wait("no key set to be written down any more") {
            try await node.value("SELECT count(*) FROM drawbridge.issuer_key_sets") == "0"
        }
        try await load.wait(answers: 30)
        try await load.stop()
        #expect(load.brokenConnections == 0 && load.refusedConnections == 0 && load.oddities.isEmpty)
        #expect(Set(load.statuses.keys).isSubset(of: [200, 201, 409]), "\(load.statuses)")
        #expect(one.requests == asked, "nobody asks in the old place any more")
        #expect(try node.processID("bridge") == bridge, "the bridge is not replaced")
        #expect(try await node.stop().isSuccess)
        for issuer in [one, other, third] { await issuer.goAway() }
    }

    @Test(
        "Keys of an old place are not believed for ever where the new one does not answer", .timeLimit(.minutes(3)))
    @OnLoop func elsewhere() async throws {
        let (one, gone) = (try TestIssuer(), try TestIssuer())
        let key = P256PrivateKey()
        one.show([("1", key)])
        await gone.goAway()
        let node = try Node(ownsPolicies: true)
        let before = Files.text("\(node.policies)/issuers.yaml")
        node.trust(Self.issuer, at: one, "overlap: 5 s")
        try await node.start()
        let old = token("1", key)
        try await wait("the key") { try await node.everyWorker(answers: 200, old) }
        let written = "SELECT count(*) FROM drawbridge.issuer_key_sets WHERE issuer = "
        try await wait("the set to be written down") { try await node.value("\(written)'\(Self.issuer)'") == "1" }
        _ = try await node.rows(
            "INSERT INTO drawbridge.issuer_key_sets VALUES ('https://gone.example', 'https://gone.example/', '{}')")

        Files.write(before, to: "\(node.policies)/issuers.yaml")
        node.trust(Self.issuer, at: gone, "overlap: 5 s")
        let result = try await node.policy("reload")
        #expect(result.exit.isSuccess, "\(result.output)")
        // The new workers have them from the bridge, for the overlap and no longer.
        try await wait("the keys of the old place to be over") {
            try await node.everyWorker(answers: 401, old)
        }

        // Nor does a bridge that starts take them up, or keep what was written down of others.
        let bridge = try node.processID("bridge")
        kill(bridge, SIGKILL)
        try await wait("the bridge to be back") { try node.processID("bridge") != bridge }
        try await wait("others' keys to be forgotten") {
            try await node.value("\(written)'https://gone.example'") == "0"
        }
        #expect(try await node.everyWorker(answers: 401, old))
        #expect(try await node.stop().isSuccess)
        await one.goAway()
    }

    @Test(
        "Keys of an issuer that is away outlive policies that were to move it or take it out, and were taken back",
        .timeLimit(.minutes(3)))
    @OnLoop func takenBack() async throws {
        let (one, gone) = (try TestIssuer(), try TestIssuer())
        let key = P256PrivateKey()
        one.show([("1", key)])
        await gone.goAway()
        let node = try Node(ownsPolicies: true)
        let issuers = "\(node.policies)/issuers.yaml"
        let without = Files.text(issuers)
        node.trust(Self.issuer, at: one, "overlap: 0 s")
        let with = Files.text(issuers)
        try await node.start()
        let token = token("1", key)
        try await wait("the key") { try await node.everyWorker(answers: 200, token) }
        await one.goAway()

        Files.write(without, to: issuers)
        node.trust(Self.issuer, at: gone, "overlap: 0 s")
        let hop = "\(node.home)/keys/hop.key"
        for policy in [Files.text(issuers), without] {
            Files.write(policy, to: issuers)
            try #require(rename(hop, "\(hop).away") == 0)
            let result = try await node.policy("reload")
            try #require(rename("\(hop).away", hop) == 0)
            #expect(result.output.contains("gateway-0 is not replaced"), "\(result.output)")
        }
        // The old policies are in force; workers that start know what the bridge knows.
        Files.write(with, to: issuers)
        let again = try await node.policy("reload")
        #expect(again.exit.isSuccess, "\(again.output)")
        #expect(try await node.everyWorker(answers: 200, token))
        #expect(try await node.value("SELECT count(*) FROM drawbridge.issuer_key_sets") == "1")
        #expect(try await node.stop().isSuccess)
    }

    @Test("A look that the bridge did not make does not count as one that has found nothing", .timeLimit(.minutes(2)))
    @OnLoop func lookNotMade() async throws {
        let publisher = try TestIssuer()
        let (first, second) = (P256PrivateKey(), P256PrivateKey())
        publisher.show([("1", first)])
        let node = try Node(ownsPolicies: true, workers: 1)
        node.trust(Self.issuer, at: publisher)
        try await node.start()
        try await wait("the first key") { try await node.everyWorker(answers: 200, self.token("1", first)) }
        // As another machine's gateway would ask: for a while the bridge looks for nobody else.
        let question = #"{"issuer":"\#(Self.issuer)","kid":"made-up"}"#
        #expect(try await node.askAsGateway("/drawbridge/issuer-keys", json: question).status == 200)

        publisher.show([("1", first), ("2", second)])
        let asked = publisher.requests
        let token = token("2", second)
        #expect(try await node.everyWorker(answers: 401, token))
        #expect(publisher.requests == asked)
        // Half a minute lies between two looks; what was not found is forgotten after twice that.
        try await wait("the next look", for: .seconds(45)) {
            try await Loop.sleep(for: .seconds(1))
            return try await node.everyWorker(answers: 200, token)
        }
        #expect(try await node.stop().isSuccess)
        await publisher.goAway()
    }
}
