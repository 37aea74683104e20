import Audit
import HTTP
import JSONText
import Server
import Telemetry
import Testing

@Suite("Records")
struct RecordTests {
    private static let id = RequestID("0123456789abcdef0000000000000001".utf8.span)!

    private static func facts(path: String = "/api/booking-engine/bookings") -> RequestFacts {
        let facts = RequestFacts(
            id: id, method: .post, path: Array(path.utf8)[...],
            trace: TraceContext(traceID: 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736, spanID: 0x00f0_67aa_0ba9_02b7),
            address: "203.0.113.7", tlsVersion: "1.3")
        facts.route = "createBooking"
        facts.hotel = 7
        facts.contentLength = 321
        facts.principal = RequestFacts.Principal(
            issuer: "https://issuer.example", subject: "be-1", client: "booking-engine", method: "jwt")
        return facts
    }

    private static func text(_ record: some AuditRecord) throws -> String {
        var hash = try KeyedHash.make(key: [UInt8](repeating: 1, count: 32).span)
        var bytes: [UInt8] = []
        record.append(worker: Array("gateway-0".utf8), &hash, to: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func value(_ record: some AuditRecord) throws -> JSONValue {
        try JSONValue(parsing: Array(text(record).utf8))
    }

    @Test("A decision to let a request pass")
    func allowed() throws {
        let record = DecisionRecord(Self.facts(), .allowed, time: 1_700_000_000_123, microseconds: 456)
        #expect(
            try Self.text(record)
                == #"{"class_uid":4002,"category_uid":4,"activity_id":6,"type_uid":400206,"time":1700000000123,"#
                + #""metadata":{"version":"1.7.0","log_name":"decision","uid":"0123456789abcdef0000000000000001","#
                + #""correlation_uid":"4bf92f3577b34da6a3ce929d0e0e4736","profiles":["security_control"],"#
                + #""product":{"name":"Drawbridge","vendor_name":"Drawbridge"}},"severity_id":1,"action_id":1,"#
                + #""disposition_id":1,"status_id":1,"http_request":{"http_method":"POST","#
                + #""url":{"path":"/api/booking-engine/bookings"},"length":321},"src_endpoint":{"ip":"203.0.113.7"},"#
                + #""dst_endpoint":{"svc_name":"gateway-0"},"tls":{"version":"1.3"},"#
                + #""actor":{"user":{"uid":"be-1","domain":"https://issuer.example"},"app_uid":"booking-engine"},"#
                + #""unmapped":{"route":"createBooking","hotel_id":7,"authentication":"jwt","verdict":"allowed","#
                + #""decided_us":456}}"#)
    }

    @Test("A decision to refuse a request, with the firewall's rules and the limits' state")
    func refused() throws {
        var record = DecisionRecord(
            Self.facts(), .refused(status: 403, stage: "firewall", reason: "score"), time: 1, microseconds: 2)
        record.limits = [.init(name: "principal", remaining: 3, resetSeconds: 20)]
        record.rules = [.init(id: 942_100, variable: "ARGS:comment", score: 5)]
        record.inboundScore = 5
        #expect(
            try Self.text(record).contains(
                #""severity_id":3,"action_id":2,"disposition_id":2,"status_id":2,"http_status":403,"http_request""#))
        #expect(
            try Self.text(record).hasSuffix(
                #""verdict":"refused","stage":"firewall","reason":"score","limits":[{"name":"principal","#
                    + #""remaining":3,"reset_s":20}],"rule_count":1,"inbound_score":5,"rules":[{"id":942100,"#
                    + #""variable":"ARGS:comment","score":5}],"decided_us":2}}"#))
    }

    @Test("An outcome")
    func outcome() throws {
        var record = OutcomeRecord(Self.facts(), time: 1_700_000_000_123, microseconds: 12_345, status: 201)
        record.upstreamStatus = 201
        record.upstreamMicroseconds = 11_000
        record.contentLength = 77
        #expect(
            try Self.text(record).hasSuffix(
                #""http_response":{"code":201,"length":77,"latency":11},"unmapped":{"route":"createBooking","#
                    + #""hotel_id":7,"upstream_status":201,"upstream_us":11000,"complete":true,"answered_us":12345}}"#
            ))
        #expect(try Self.text(record).contains(#""severity_id":1,"status_id":1,"duration":12,"http_request""#))
        // Whose it was, so that it is found without the decision.
        #expect(
            try Self.text(record).contains(
                #""actor":{"user":{"uid":"be-1","domain":"https://issuer.example"},"app_uid":"booking-engine"},"http_response""#
            ))
    }

    @Test("An outcome without an answer")
    func noAnswer() throws {
        var record = OutcomeRecord(Self.facts(), time: 1, microseconds: 2, status: nil)
        record.failure = "broken"
        record.isComplete = false
        #expect(
            try Self.text(record).hasSuffix(
                #""http_response":{"code":0},"unmapped":{"route":"createBooking","hotel_id":7,"failure":"broken","#
                    + #""complete":false,"answered_us":2}}"#))
    }

    @Test("A request that could not be read")
    func unread() throws {
        let facts = RequestFacts(
            id: Self.id, method: nil, path: [], trace: TraceContext(traceID: 1, spanID: 1), address: "")
        let record = DecisionRecord(
            facts, .refused(status: 400, stage: "read", reason: "malformed-request"), time: 1, microseconds: 2)
        #expect(try Self.value(record)["type_uid"]?.integer == 400_200)
        #expect(try !Self.text(record).contains("http_method"))
    }

    @Test("Whatever a name holds, the record is JSON on one line, and the name is cut")
    func hostileNames() throws {
        let scalars = (0...0x20).map { Unicode.Scalar(UInt8($0)) } + ["\"", "\\", "\u{7F}", "\u{2028}", "é", "🏨"]
        for scalar in scalars {
            let facts = Self.facts()
            for count in [1, 63, 64, 127, 128, 300] {
                facts.principal?.subject = String(repeating: String(Character(scalar)), count: count)
                let text = try Self.text(DecisionRecord(facts, .allowed, time: 1, microseconds: 2))
                #expect(!text.utf8.contains { $0 < 0x20 })
                let value = try JSONValue(parsing: Array(text.utf8))
                let subject = try #require(value["actor"]?["user"]?["uid"]?.string)
                #expect(subject.utf8.count <= 128 + 3)
                #expect(
                    facts.principal!.subject.hasPrefix(subject.hasSuffix("…") ? String(subject.dropLast()) : subject))
            }
        }
    }

    @Test("What has to be escaped is, wherever in a name it stands", arguments: 0..<20)
    func escapes(position: Int) throws {
        for scalar in ["\u{1F}", "\"", "\\", "\u{7F}", "é", " ", "!", "~"] {
            let facts = Self.facts()
            let name = String(repeating: "a", count: position) + scalar + String(repeating: "b", count: 9)
            facts.principal?.subject = name
            let record = DecisionRecord(facts, .allowed, time: 1, microseconds: 2)
            #expect(try !Self.text(record).utf8.contains { $0 < 0x20 || $0 == 0x7F })
            #expect(try Self.value(record)["actor"]?["user"]?["uid"]?.string == name)
        }
    }

    @Test(
        "What may be a token or an address does not stand in a path",
        arguments: [
            "/users/guest@hotel.example", "/users/guest%40hotel.example",
            "/x/eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0In0.sig", "/%E5%B1%B1%E7%94%B0",
        ])
    func paths(path: String) throws {
        let record = DecisionRecord(Self.facts(path: path), .allowed, time: 1, microseconds: 2)
        let secret = path.split(separator: "/").last!
        #expect(try !Self.text(record).contains(secret))
        // Found again by whoever has the key.
        var hash = try KeyedHash.make(key: [UInt8](repeating: 1, count: 32).span)
        let written = try #require(try Self.value(record)["http_request"]?["url"]?["path"]?.string)
        #expect(written.hasSuffix("/" + hash.text(for: String(secret))))
    }

    @Test("A path is cut")
    func longPath() throws {
        let path = String(repeating: "/abcdefg", count: 1000)
        let record = DecisionRecord(Self.facts(path: path), .allowed, time: 1, microseconds: 2)
        let written = try #require(try Self.value(record)["http_request"]?["url"]?["path"]?.string)
        #expect(written == String(repeating: "/abcdefg", count: 64) + "/…")
    }

    @Test("A user who is named by an address is not named")
    func addressAsName() throws {
        let facts = Self.facts()
        facts.principal?.subject = "guest@hotel.example"
        facts.principal?.client = "guest@hotel.example"
        #expect(try !Self.text(DecisionRecord(facts, .allowed, time: 1, microseconds: 2)).contains("guest@"))
    }

    @Test("A key that is too short is refused")
    func shortKey() {
        #expect(throws: AuditError.self) { _ = try KeyedHash.make(key: [UInt8](repeating: 1, count: 31).span) }
    }

    @Test(
        "The longest record fits into a frame, and what is reserved for it is enough",
        arguments: [
            String(repeating: "/%40", count: 2000), String(repeating: "/@", count: 4000),
            String(repeating: "/@", count: 255) + "/" + String(repeating: "\u{1}", count: 40),
            String(repeating: "/" + String(repeating: "\u{1}", count: 40), count: 200),
        ])
    func longest(path: String) throws {
        let facts = Self.facts(path: path)
        facts.hotel = .min
        facts.contentLength = .min
        let nasty = String(repeating: "\u{1}", count: 4000)
        facts.principal = RequestFacts.Principal(issuer: nasty, subject: nasty, client: nasty, method: nasty)
        facts.route = nasty
        facts.address = nasty
        facts.tlsVersion = nasty
        var record = DecisionRecord(
            facts, .refused(status: 403, stage: nasty, reason: nasty), time: .max, microseconds: .max)
        record.rules = (0..<1000).map { _ in .init(id: .max, variable: nasty, score: .max) }
        record.limits = (0..<8).map { _ in .init(name: nasty, remaining: .max, resetSeconds: .max) }
        #expect(try Self.value(record)["unmapped"]?["rule_count"]?.integer == 1000)
        #expect(try Self.text(record).utf8.count < 64 << 10)

        var outcome = OutcomeRecord(facts, time: .min, microseconds: .min, status: .max)
        outcome.upstreamStatus = .max
        outcome.upstreamMicroseconds = .min
        outcome.contentLength = .min
        outcome.failure = nasty
        outcome.isComplete = false
        #expect(try Self.value(outcome)["unmapped"]?["upstream_status"]?.integer == 65_535)

        var hash = try KeyedHash.make(key: [UInt8](repeating: 1, count: 32).span)
        var line = Array("{\"a\":1".utf8)
        AccessLine(outcome, refusedBy: nasty).append(&hash, to: &line)
        #expect(try JSONValue(parsing: line + Array("}".utf8))["status"]?.integer == 65_535)
    }
}
