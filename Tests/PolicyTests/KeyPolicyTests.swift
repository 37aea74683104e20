import Authentication
import Cryptography
import Testing

@testable import Policy

@Suite("keys.yaml")
struct KeyPolicyTests {
    private let directory: TemporaryDirectory

    init() throws {
        directory = try TemporaryDirectory()
        try directory.write(Base64.standard.encode(Array(0..<32)) + "\n", to: "keys/secret")
        try directory.write(Base64.standard.encode(Array(0..<31)), to: "keys/short")
    }

    private func load() throws(PolicyError) -> KeyPolicy {
        try KeyPolicy.load(directory.path + "/keys.yaml", installation: directory.path)
    }

    private func found(_ text: String) throws -> [String] {
        try directory.write(text, to: "keys.yaml")
        return mistakes { () throws(PolicyError) in _ = try load() }.map(\.key)
    }

    private static let client =
        #"keyid: a, algorithm: hmac-sha256, file: keys/secret, client: c, scopes: ["hotel:read"], hotel_ids: [1]"#

    @Test("The repository's file is in order, and says what is the default")
    func repository() throws {
        let policy = try KeyPolicy.load(TemporaryDirectory.repository + "/keys.yaml", installation: directory.path)
        #expect(policy.apiKeys == KeyPolicy.APIKeys())
        #expect(policy.signatures.terms == SignatureTerms())
        #expect(policy.signatures.nonces == KeyPolicy.Signatures().nonces && policy.signatures.clients.isEmpty)
    }

    @Test("A client that signs has a key, scopes and hotels")
    func client() throws {
        let text = "signatures: {maximum_age: 1 min, covered_components: ['@path', date], clients: [{\(Self.client)}]}"
        #expect(try found(text) == [])
        let policy = try load()
        #expect(policy.signatures.terms.coveredComponents == ["@path", "date"])
        #expect(policy.signatures.terms.maximumAgeInSeconds == 60)
        let client = try #require(policy.signatures.clients.first)
        #expect(client.key == .hmacSHA256(Array(0..<32)))
        #expect(client.identity.scopes == [.hotelRead] && client.identity.hotelIDs == .of([1]))
    }

    @Test(
        "What would let the wrong ones in is a mistake",
        arguments: [
            ("keyid: a", "keyid: ../a", "clients[0].keyid"), ("hmac-sha256", "ed25519", "clients[0].algorithm"),
            ("keys/secret", "keys/short", "clients[0].file"), ("keys/secret", "keys/none", "clients[0].file"),
            ("client: c", "client: 'a b'", "clients[0].client"), ("hotel:read", "hotel:write", "clients[0].scopes[0]"),
            ("[1]", "[0]", "clients[0].hotel_ids[0]"), ("[1]", "[]", "clients[0].hotel_ids"),
            (", hotel_ids: [1]", "", "clients[0].hotel_ids"), ("[\"hotel:read\"]", "[]", "clients[0].scopes"),
        ])
    func badClient(from: String, to: String, key: String) throws {
        let client = Self.client.replacing(from, with: to)
        #expect(try found("signatures: {clients: [{\(client)}]}").contains("signatures.\(key)"))
    }

    @Test(
        "Times and sizes have bounds",
        arguments: [
            ("api_keys: {maximum_staleness: 9 s}", "api_keys.maximum_staleness"),
            ("api_keys: {maximum_staleness: 25 h}", "api_keys.maximum_staleness"),
            ("signatures: {maximum_age: 2 h}", "signatures.maximum_age"),
            ("signatures: {maximum_age: 1500 ms}", "signatures.maximum_age"),
            ("signatures: {clock_skew: 61 s}", "signatures.clock_skew"),
            ("signatures: {nonces: 1}", "signatures.nonces"),
            ("signatures: {covered_components: []}", "signatures.covered_components"),
            ("signatures: {covered_components: ['@status']}", "signatures.covered_components[0]"),
            ("signatures: {covered_components: [Date]}", "signatures.covered_components[0]"),
            ("webhooks: []", "webhooks"),
        ])
    func bounds(text: String, key: String) throws { #expect(try found(text) == [key]) }

    @Test("A key id stands for one client")
    func duplicate() throws {
        #expect(
            try found("signatures: {clients: [{\(Self.client)}, {\(Self.client)}]}") == ["signatures.clients[1]"])
    }
}
