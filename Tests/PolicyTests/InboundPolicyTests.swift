import Authentication
import Inbound
import Testing

@testable import Policy

@Suite("inbound.yaml")
struct InboundPolicyTests {
    private let directory: TemporaryDirectory

    init() throws {
        directory = try TemporaryDirectory()
        try directory.write("a secret of 24 characters or more", to: "spaced.secret")
        try directory.write("0123456789abcdef01234567\n", to: "url.secret")
        try directory.write("whsec_dGhlIHNlY3JldCBvZiBhIHZlbmRvcg==", to: "standard.secret")
        try directory.write("short", to: "short.secret")
    }

    private func load(_ text: String, readsSecrets: Bool = true) throws -> InboundPolicy {
        try InboundPolicy.load(
            directory.write(text, to: "inbound.yaml"), installation: readsSecrets ? directory.path : nil)
    }

    private static let sources = """
        retries: {attempts: 3, initial_delay: 2 s, longest_delay: 5 s}
        content_timeout: 1 s
        sources:
          - name: mews
            hotel_ids: [3, 4]
            url_secret: {files: [url.secret]}
            identified_by: nothing
            hotel: {member: /EnterpriseId, names: {"a-b": 3}}
            refresh: availability
            maximum_body: 1 KiB
            rate: {burst: 5, requests: 1, per: 1 s}
            kept_fields: [user-agent]
          - name: standard
            hotel_ids: [3]
            standard_webhooks: {files: [standard.secret]}
            refresh: everything
          - name: own
            hotel_ids: "*"
            hmac: {field: x-code, encoding: hex, secret_form: text, files: [url.secret, spaced.secret]}
            identified_by: {member: /id}
            hotel: {member: /hotel_id}
            refresh: hotel
        """

    @Test("The repository's file has the demo's source alone")
    func repository() throws {
        let policy = try InboundPolicy.load(TemporaryDirectory.repository + "/inbound.yaml", installation: nil)
        #expect(policy.sources.map(\.name) == ["demo-pms"] && policy.senders.isEmpty)
        #expect(policy.sources[0].identification == .field("x-demo-id"))
        #expect(policy.retries == InboundRetries() && policy.contentTimeout == .seconds(5))
    }

    @Test("What is written is taken, and the same without its secrets")
    func values() throws {
        let policy = try load(Self.sources)
        #expect(policy.contentTimeout == .seconds(1) && policy.retries.attempts == 3)
        #expect(policy.retries.initialDelay == .seconds(2) && policy.retries.longestDelay == .seconds(5))
        let (mews, standard, own) = (policy.sources[0], policy.sources[1], policy.sources[2])
        #expect(mews.identification == .nothing && mews.hotelMember?.names == ["a-b": 3])
        #expect(mews.hotelIDs == .of([3, 4]) && mews.refresh == .availability && mews.keptFields == ["user-agent"])
        #expect(standard.identification == .field("webhook-id") && standard.hotelMember == nil)
        #expect(own.hotelIDs == .all && own.refresh == .hotel && own.identification != .content)
        #expect(policy.senders.map(\.name) == ["mews", "standard", "own"])
        #expect(policy.senders[0].maximumBody == 1024 && policy.senders[1].maximumBody == nil)
        #expect(policy.senders.allSatisfy { $0.identity.scopes == [] && $0.identity.method == .inbound })
        guard case .code(let terms) = policy.senders[2].proof else { return #expect(Bool(false)) }
        #expect(terms.field == "x-code" && terms.signed == [.body] && terms.secrets.count == 2)
        guard case .code(let terms) = policy.senders[1].proof else { return #expect(Bool(false)) }
        #expect(terms.prefix == "v1," && terms.signed.count == 5 && terms.timestampField == "webhook-timestamp")
        #expect(policy.rates.keys.sorted() == ["mews"] && policy.rates["mews"]?.partition == [.principal])

        // A name in a field has to be signed where anything is.
        let named = try load(
            Self.sources.replacing("{member: /id}", with: "{field: x-id}")
                .replacing("encoding: hex,", with: #"encoding: hex, signed: "{field:x-id}.{body}","#)
                .replacing("identified_by: nothing", with: "identified_by: {field: x-id}"))
        #expect(named.sources.map(\.identification) == [.field("x-id"), .field("webhook-id"), .field("x-id")])

        let bridges = try load(Self.sources.replacing(".secret", with: ".lost"), readsSecrets: false)
        #expect(bridges.sources == policy.sources && bridges.senders.isEmpty)
    }

    @Test(
        "What cannot be meant is a mistake",
        arguments: [
            ("name: mews", "name: Mews", "sources[0].name"), ("name: standard", "name: mews", "sources[1]"),
            ("url_secret: {files: [url.secret]}", "refresh: hotel", "sources[0].hmac"),
            ("url_secret: {files: [url.secret]}", "url_secret: {}", "sources[0].url_secret.files"),
            (
                "url_secret: {files: [url.secret]}", "url_secret: {files: [spaced.secret]}",
                "sources[0].url_secret.files"
            ),
            ("files: [url.secret]}", "files: [short.secret]}", "sources[0].url_secret.files[0]"),
            ("files: [url.secret]}", "files: [lost.secret]}", "sources[0].url_secret.files[0]"),
            ("files: [standard.secret]}", "files: [a, b, c]}", "sources[1].standard_webhooks.files"),
            (
                "standard_webhooks:", "url_secret: {files: [url.secret]}\n    standard_webhooks:",
                "sources[1].url_secret"
            ),
            ("identified_by: nothing", "identified_by: luck", "sources[0].identified_by"),
            ("identified_by: nothing", "identified_by: {}", "sources[0].identified_by"),
            ("{member: /id}", "{member: id}", "sources[2].identified_by.member"),
            ("{member: /id}", "{field: Authorization}", "sources[2].identified_by.field"),
            // One that is not signed.
            ("{member: /id}", "{field: x-id}", "sources[2].identified_by.field"),
            (
                "    refresh: everything", "    identified_by: {field: x-id}\n    refresh: everything",
                "sources[1].identified_by.field"
            ),
            ("hotel: {member: /hotel_id}", "maximum_body: 1 KiB", "sources[2].hotel"),
            ("{member: /hotel_id}", "{member: hotel_id}", "sources[2].hotel.member"),
            (#"{"a-b": 3}"#, #"{"a-b": 5}"#, "sources[0].hotel.names.a-b"),
            (#"{"a-b": 3}"#, "{}", "sources[0].hotel.names"),
            ("refresh: everything", "refresh: all", "sources[1].refresh"),
            ("maximum_body: 1 KiB", "maximum_body: 2 MiB", "sources[0].maximum_body"),
            ("burst: 5", "burst: 0", "sources[0].rate.burst"),
            ("[user-agent]", "[cookie]", "sources[0].kept_fields[0]"),
            ("[user-agent]", "[a, b, c, d, e, f, g, h, i]", "sources[0].kept_fields"),
            ("attempts: 3", "attempts: 0", "retries.attempts"), ("2 s", "6 s", "retries.initial_delay"),
            ("refresh: hotel", "refresh: hotel\n    secret: x", "sources[2].secret"),
        ])
    func mistakes(old: String, new: String, key: String) throws {
        let text = Self.sources.replacing(old, with: new, maxReplacements: 1)
        try #require(text != Self.sources)
        let file = try directory.write(text, to: "inbound.yaml")
        let found = PolicyTests.mistakes { () throws(PolicyError) in
            _ = try InboundPolicy.load(file, installation: directory.path)
        }
        #expect(found.contains { $0.key == key }, "\(found)")
    }
}
