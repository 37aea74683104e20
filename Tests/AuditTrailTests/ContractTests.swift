import Audit
import Glibc
import HTTP
import Ledger
import Server
import Telemetry
import Testing

@testable import AuditTrail

/// What the gateway writes is what the auditor reads: two modules that share nothing but the format.
@Suite("The gateway's records, read by the audit commands")
struct ContractTests {
    let fixture: AuditFixture

    init() throws { fixture = try AuditFixture() }

    private static let id = "0123456789abcdef0000000000000001"

    private var facts: RequestFacts {
        let facts = RequestFacts(
            id: RequestID(Self.id.utf8.span)!, method: .post, path: Array("/guests/guest%40hotel.example".utf8)[...],
            trace: TraceContext(traceID: 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736, spanID: 1), address: "2001:db8::7",
            tlsVersion: "1.3")
        facts.route = "createBooking"
        facts.hotel = 7
        facts.contentLength = 321
        facts.principal = RequestFacts.Principal(
            issuer: "https://issuer.example", subject: "be-1", client: "booking-engine", method: "jwt")
        return facts
    }

    private var decision: DecisionRecord {
        var record = DecisionRecord(
            facts, .refused(status: 403, stage: "firewall", reason: "score"), time: 1_700_000_000_123, microseconds: 456
        )
        record.rules = [.init(id: 942_100, variable: "ARGS:comment", score: 5)]
        record.inboundScore = 5
        return record
    }

    private func write(_ records: any AuditRecord...) throws {
        let key = fixture.auditKey
        var hash = try KeyedHash.make(key: key.span)
        var batch = RecordBatch()
        for record in records {
            var bytes: [UInt8] = []
            record.append(worker: Array("gateway-0".utf8), &hash, to: &bytes)
            try batch.add(bytes.span)
        }
        var writer = try fixture.writer()
        _ = try writer.append(batch)
        try writer.close()
    }

    private func records() throws -> [TrailRecord] {
        var records: [TrailRecord] = []
        try TrailScan(ledger: fixture.records, query: TrailQuery(requestID: Self.id)).run { record, _ in
            records.append(record)
            return .more
        }
        return records
    }

    @Test("Every member of a decision is found")
    func decisionMembers() throws {
        try write(decision)
        let record = try #require(try records().first)
        #expect(record.kind == .decision)
        #expect(record.time == 1_700_000_000_123)
        #expect(record.trace == "4bf92f3577b34da6a3ce929d0e0e4736")
        #expect([record.method, record.address, record.worker] == ["POST", "2001:db8::7", "gateway-0"])
        #expect([record.principal, record.client] == ["be-1", "booking-engine"])
        #expect([record.issuer, record.authentication] == ["https://issuer.example", "jwt"])
        #expect([record.route, record.verdict, record.stage] == ["createBooking", "refused", "firewall"])
        #expect([record.reason, record.tlsVersion] == ["score", "1.3"])
        #expect([record.hotel, record.status, record.severity, record.score] == [7, 403, 3, 5])
        #expect([record.requestLength, record.microseconds] == [321, 456])
        #expect(record.rules == [TrailRecord.Rule(id: 942_100, variable: "ARGS:comment")])
    }

    @Test("Every member of an outcome is found")
    func outcomeMembers() throws {
        var outcome = OutcomeRecord(facts, time: 1_700_000_000_123, microseconds: 12_345, status: 502)
        outcome.contentLength = 77
        outcome.upstreamStatus = 500
        outcome.failure = "broken"
        outcome.isComplete = false
        try write(outcome)
        let record = try #require(try records().first)
        #expect(record.kind == .outcome)
        #expect([record.status, record.upstreamStatus, record.responseLength] == [502, 500, 77])
        #expect([record.microseconds, record.hotel] == [12_345, 7])
        #expect([record.failure, record.route] == ["broken", "createBooking"])
        #expect(record.isComplete == false)
    }

    @Test(
        "Each filter lets through what it names",
        arguments: [
            ["--principal", "be-1"], ["--principal", "booking-engine"], ["--hotel", "7"], ["--route", "createBooking"],
            ["--verdict", "refused"], ["--rule", "942100"], ["--address", "2001:db8::/32"], ["--request-id", id],
            ["--since", "2023-11-14T22:13:20.123Z", "--until", "2023-11-14T22:13:20.124Z"],
        ])
    func filters(arguments: [String]) throws {
        try write(decision)
        #expect(try fixture.run(["search", "--json"] + arguments).lines.count == 1)
    }

    @Test("lookup finds what the gateway has hashed, encoded as it came")
    func lookup() throws {
        try write(decision)
        let said = try fixture.run("lookup", "guest@hotel.example")
        #expect(said.lines.last?.contains(Self.id) == true)
        #expect(!said.lines.last!.contains("guest%40"))
    }

    @Test("Who is named by an address is found by it, though the ledger holds its hash")
    func addressAsPrincipal() throws {
        let record = decision
        record.facts.principal?.subject = "guest@hotel.example"
        try write(record)
        #expect(try fixture.run("search", "--principal", "guest@hotel.example").lines.count == 1)
        #expect(try fixture.run("search", "--principal", "other@hotel.example").lines.isEmpty)
    }

    @Test("A CEF line has an IPv6 address under the key for it")
    func ipv6() throws {
        try write(decision)
        let line = try #require(try fixture.run("export", "--format", "cef").lines.first)
        #expect(line.contains(" c6a2=2001:db8::7 c6a2Label=Source IPv6 Address "))
        #expect(!line.contains(" src="))
    }
}
