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
        try directory.write("a text of a vendor\n", to: "keys/text")
        try directory.write("whsec_" + Base64.standard.encode(Array(0..<24)), to: "keys/standard")
        try directory.write("too short\n", to: "keys/small")
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

    @Test("Who is registered is told with all hotels, and no file with a secret is needed for that")
    func registered() throws {
        try directory.write(
            """
            signatures:
              clients:
                - {keyid: a, algorithm: hmac-sha256, file: nowhere, client: shop, scopes: ["hotel:read"], hotel_ids: [3]}
                - {keyid: b, algorithm: hmac-sha256, file: nowhere, client: shop, scopes: ["hotel:read"], hotel_ids: [1]}
                - {keyid: c, algorithm: hmac-sha256, file: nowhere, client: chain, scopes: ["hotel:read"], hotel_ids: "*"}
            webhooks:
              senders:
                - {name: v, files: [nowhere], client: vendor, scopes: ["cache:write"], hotel_ids: [2]}
                - {name: w, files: [nowhere], client: chain, scopes: ["cache:write"], hotel_ids: [2]}
            """, to: "keys.yaml")
        #expect(
            try KeyPolicy.registeredClients(directory.path + "/keys.yaml")
                == ["shop": .of([1, 3]), "chain": .all, "vendor": .of([2])])
        #expect(try KeyPolicy.registeredClients(TemporaryDirectory.repository + "/keys.yaml") == [:])
        #expect(throws: PolicyError.self) { try KeyPolicy.registeredClients(directory.path + "/none.yaml") }
    }

    @Test("The repository's file is in order, and says what is the default")
    func repository() throws {
        let policy = try KeyPolicy.load(TemporaryDirectory.repository + "/keys.yaml", installation: directory.path)
        #expect(policy.apiKeys == KeyPolicy.APIKeys())
        #expect(policy.signatures.terms == SignatureTerms())
        #expect(policy.signatures.nonces == KeyPolicy.Signatures().nonces && policy.signatures.clients.isEmpty)
        #expect(policy.webhooks.senders.isEmpty && policy.webhooks.contentTimeout == .seconds(5))
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
            ("api_keys: {maximum_staleness: 29 s}", "api_keys.maximum_staleness"),
            ("api_keys: {maximum_staleness: 25 h}", "api_keys.maximum_staleness"),
            ("signatures: {maximum_age: 2 h}", "signatures.maximum_age"),
            ("signatures: {maximum_age: 1500 ms}", "signatures.maximum_age"),
            ("signatures: {clock_skew: 61 s}", "signatures.clock_skew"),
            ("signatures: {nonces: 1}", "signatures.nonces"),
            ("signatures: {covered_components: []}", "signatures.covered_components"),
            ("signatures: {covered_components: ['@status']}", "signatures.covered_components[0]"),
            ("signatures: {covered_components: [Date]}", "signatures.covered_components[0]"),
            ("webhooks: []", "webhooks"), ("webhooks: {content_timeout: 2 min}", "webhooks.content_timeout"),
        ])
    func bounds(text: String, key: String) throws { #expect(try found(text) == [key]) }

    private static let sender =
        #"name: v, field: x-code, encoding: hex, files: [keys/text], secret_form: text, client: c"#
        + #", scopes: ["cache:write"], hotel_ids: [1], "#
    private static let timed = sender + #"signed: "{timestamp}.{body}", timestamp: {field: x-time, maximum_age: 1 min}"#

    @Test("A vendor has a form of signing, secrets, scopes and hotels")
    func sender() throws {
        let standard =
            #"name: s, field: webhook-signature, prefix: "v1,", separator: " ", encoding: base64"#
            + #", signed: "{field:webhook-id}.{timestamp}.{body}", timestamp: {field: webhook-timestamp}"#
            + #", files: [keys/standard, keys/secret], client: c, scopes: ["cache:write"], hotel_ids: "*""#
        let text =
            "webhooks: {senders: [{\(Self.timed)}, {\(standard)}, {\(Self.sender.replacing("v", with: "w")) remember: 1 h}]}"
        #expect(try found(text) == [])
        let senders = try load().webhooks.senders
        try #require(senders.count == 3)
        #expect(
            senders[0].terms
                == WebhookTerms(
                    field: "x-code", encoding: .hex, signed: [.timestamp, .text("."), .body], timestampField: "x-time",
                    maximumAgeInSeconds: 60, secrets: [Array("a text of a vendor".utf8)]))
        #expect(senders[0].memoryInSeconds == 121 && senders[2].memoryInSeconds == 3600)
        #expect(senders[1].terms.secrets == [Array(0..<24), Array(0..<32)])
        #expect(senders[1].terms.separator == " " && senders[1].terms.encoding == .base64)
        let identity = senders[0].identity
        #expect(identity.method == .webhook && identity.subject == "webhook-v" && identity.client == "c")
        #expect(identity.scopes == [.cacheWrite] && identity.hotelIDs == .of([1]))
        #expect(senders[2].terms.signed == [.body])
    }

    @Test(
        "What would let the wrong webhooks in is a mistake",
        arguments: [
            ("x-code", "X-Code", "field"), ("x-code", "authorization", "field"),
            ("encoding: hex", "encoding: raw", "encoding"),
            ("name: v", "name: v w", "name"), ("keys/text", "keys/none", "files[0]"),
            ("keys/text", "keys/small", "files[0]"),
            ("secret_form: text", "secret_form: base64", "files[0]"), ("[keys/text]", "[]", "files"),
            ("[keys/text]", "[keys/text, keys/text, keys/text]", "files"), ("cache:write", "cache", "scopes[0]"),
            ("{timestamp}.{body}", "{body}", "signed"), ("{timestamp}.{body}", "{timestamp}{body}", "signed"),
            ("{timestamp}.{body}", "{timestamp}", "signed"),
            ("{timestamp}.{body}", "{field:X}.{timestamp}.{body}", "signed"),
            (#", timestamp: {field: x-time, maximum_age: 1 min}"#, ", remember: 1 h", "signed"),
            (#", timestamp: {field: x-time, maximum_age: 1 min}"#, "", "timestamp"),
            ("maximum_age: 1 min}", "maximum_age: 1 min}, remember: 1 h", "remember"),
            ("maximum_age: 1 min", "maximum_age: 2 h", "timestamp.maximum_age"),
            ("maximum_age: 1 min", "clock_skew: 6 min", "timestamp.clock_skew"),
            ("maximum_age: 1 min", "tolerance: 1 min", "timestamp.tolerance"), ("hotel_ids: [1], ", "", "hotel_ids"),
            ("name: v", "name: v, separator: ab", "separator"), ("name: v", "name: v, secret: x", "secret"),
        ])
    func badSender(from: String, to: String, key: String) throws {
        let sender = Self.timed.replacing(from, with: to)
        #expect(try found("webhooks: {senders: [{\(sender)}]}").contains("webhooks.senders[0].\(key)"))
    }

    @Test("A sender's name stands for one")
    func duplicateSender() throws {
        #expect(
            try found("webhooks: {senders: [{\(Self.timed)}, {\(Self.timed)}]}") == ["webhooks.senders[1]"])
    }

    @Test("A key id stands for one client")
    func duplicate() throws {
        #expect(
            try found("signatures: {clients: [{\(Self.client)}, {\(Self.client)}]}") == ["signatures.clients[1]"])
    }
}
