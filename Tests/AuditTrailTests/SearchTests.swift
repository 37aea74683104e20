import Glibc
import JSONText
import Ledger
import Testing

@testable import AuditTrail

@Suite("drawbridge audit search, show, export, lookup")
struct SearchTests {
    let fixture: AuditFixture

    init() throws {
        fixture = try AuditFixture()
        try fixture.fill()
    }

    private func count(_ arguments: String...) throws -> Int {
        let said = try fixture.run(["search"] + arguments)
        #expect(said.status == 0)
        return said.lines.count
    }

    private static let counts: [([String], Int)] = [
        ([], 123), (["--verdict", "refused"], 6), (["--verdict", "allowed"], 54), (["--rule", "942100"], 6),
        (["--rule", "94210"], 0), (["--route", "createBooking"], 60), (["--route", "create"], 0),
        (["--hotel", "3"], 30), (["--hotel", "9"], 0), (["--principal", "be-1"], 20),
        (["--principal", "booking-engine"], 60), (["--address", "203.0.113.4"], 24),
        (["--address", "203.0.113.0/24"], 120), (["--address", "::ffff:203.0.113.4"], 24),
        (["--request-id", AuditFixture.id(17)], 2), (["--limit", "7"], 7),
        (["--verdict", "refused", "--hotel", "1", "--route", "getAvailability"], 3),
        (["--since", "2023-11-14T22:13:50Z"], 61), (["--until", "2023-11-14T22:13:50Z"], 62),
        (["--since", "2023-11-14T22:13:50.001Z", "--until", "2023-11-14T22:13:51Z"], 1), (["--since", "10s"], 20),
        (["--since", "2023-11-15"], 0), (["--until", "2023-11-15"], 123),
    ]

    @Test("Each filter finds the records it names, and no others", arguments: counts)
    func filters(arguments: [String], expected: Int) throws {
        #expect(fixture.segments.count == 3)
        #expect(try fixture.run(["search"] + arguments).lines.count == expected)
    }

    @Test("A line for people says what happened, to what, by whom and why")
    func line() throws {
        #expect(
            try fixture.run("search", "--request-id", AuditFixture.id(9)).lines == [
                "2023-11-14T22:13:29.000Z 19 refused 403 POST /api/booking-engine/bookings route=getAvailability hotel=1 "
                    + "principal=be-0 client=booking-engine address=203.0.113.4 stage=firewall reason=score rules=942100 score=5 "
                    + "time=456us id=\(AuditFixture.id(9))",
                "2023-11-14T22:13:29.012Z 20 answered 403 POST /api/booking-engine/bookings route=getAvailability hotel=1 "
                    + "address=203.0.113.4 time=12.3ms id=\(AuditFixture.id(9))",
            ])
    }

    @Test("--json gives the ledger's lines, byte for byte")
    func raw() throws {
        let lines = try fixture.segments.flatMap { try fixture.lines($0) }
        #expect(try fixture.run("search", "--json").lines == lines)
    }

    @Test("Segments whose times cannot match are not opened")
    func skippedSegments() throws {
        // The first segment is unreadable from its second line on; its header still says when it was begun.
        fixture.clock.advance(seconds: 7200)
        fixture.configuration.segmentSecondsBound = 60
        var writer = try fixture.writer()
        _ = try writer.keep(AuditFixture.request(60, time: fixture.clock.milliseconds))
        try writer.close()
        let header = try fixture.lines(fixture.segments[0])[0]
        let late = AuditFixture.decision(70, time: fixture.clock.milliseconds)
        fixture.setLines([header, "{\"seq\":1,\"record\":\(late)}"], fixture.segments[0])
        #expect(try count("--since", "1m") == 3)
    }

    @Test("What a client has put into a path cannot move an auditor's terminal")
    func hostilePath() throws {
        var writer = try fixture.writer()
        let path = #"/\u001b[2J\u0007\u202e\nx"#
        _ = try writer.keep(AuditFixture.request(99, time: fixture.clock.milliseconds, path: path))
        try writer.close()
        let said = try fixture.run("search", "--request-id", AuditFixture.id(99))
        #expect(said.lines.count == 2)
        #expect(said.output.contains(#" /\u{1b}[2J\u{7}\u{202e}\u{a}x "#))
        let shown = try fixture.run("show", AuditFixture.id(99)).output
        #expect(!shown.unicodeScalars.contains { $0 == "\u{1B}" || $0 == "\u{7}" || $0 == "\u{202E}" })
    }

    @Test("A line that is no record is shown as such, and the rest is found")
    func unreadableLine() throws {
        var lines = try fixture.lines(fixture.segments[0])
        lines[3] = "rubbish"
        fixture.setLines(lines, fixture.segments[0])
        let said = try fixture.run("search")
        #expect(said.lines[3] == "- 3 unreadable")
        #expect(said.lines.count == 123)
    }

    @Test("show gives decision and outcome, by the number of either or by the request's id")
    func show() throws {
        let byID = try fixture.run("show", AuditFixture.id(9))
        #expect(byID.status == 0)
        #expect(byID.output.contains("# record 19, 00000000000000000000.jsonl line 20\n{\n"))
        #expect(byID.output.contains("# record 20, 00000000000000000000.jsonl line 21\n{\n"))
        #expect(byID.output.contains("\n    \"reason\": \"score\",\n"))
        #expect(try fixture.run("show", "19").output == byID.output)
        #expect(try fixture.run("show", "20").output == byID.output)
        #expect(try fixture.run("show", "0").output.contains("ledger segment"))
    }

    @Test("show finds a request whose records stand in two segments")
    func showAcrossSegments() throws {
        let boundary = fixture.first(fixture.segments[1])
        let before = try fixture.lines(fixture.segments[0]).last!
        let id = try #require(before.split(separator: "\"uid\":\"").dropFirst().first?.prefix(32))
        #expect(try fixture.run("show", "--json", String(id)).lines.count == 2)
        #expect(try fixture.run("show", "--json", String(boundary - 1)).lines.count == 2)
    }

    @Test("show finds a request in a segment whose clock was another")
    func showAgainstTheClock() throws {
        fixture.clock.advance(seconds: 100_000)
        fixture.configuration.segmentSecondsBound = 60
        var writer = try fixture.writer()
        _ = try writer.keep(AuditFixture.request(99, time: 1_700_000_000_000))
        try writer.close()
        #expect(try !fixture.run("show", "--json", AuditFixture.id(99)).lines.isEmpty)
    }

    @Test("What there is no record of is not shown", arguments: ["123456", "00000000000000000000000000000000", "x"])
    func showNothing(name: String) throws {
        let said = try fixture.run("show", name)
        #expect(said.status == 1)
        #expect(said.remarks == "drawbridge: there is no record \(name)\n")
    }

    @Test("export gives the records' own members, as JSON lines")
    func exportOCSF() throws {
        let said = try fixture.run("export", "--format", "ocsf", "--verdict", "refused")
        #expect(said.lines.first == AuditFixture.decision(9, time: 1_700_000_009_000))
        #expect(said.lines.count == 6)
        #expect(try fixture.run("export").lines.count == 120)
        #expect(try fixture.run("export", "--limit", "3").lines.count == 3)
    }

    @Test("export gives CEF lines")
    func exportCEF() throws {
        let said = try fixture.run("export", "--format", "cef", "--request-id", AuditFixture.id(9))
        #expect(said.lines.count == 2)
        #expect(
            said.lines[0]
                == "CEF:0|Drawbridge|Drawbridge|1.2|request-refused|Request refused|6|rt=1700000009000 "
                + "externalId=\(AuditFixture.id(9)) cat=decision act=refused src=203.0.113.4 requestMethod=POST "
                + "request=/api/booking-engine/bookings suid=be-0 sntdom=https://issuer.example "
                + "sourceServiceName=booking-engine deviceProcessName=gateway-0 reason=score in=321 "
                + "cs1=getAvailability cs1Label=route cs2=firewall cs2Label=stage cs3=942100 cs3Label=rules "
                + "cs5=jwt cs5Label=authentication cn1=1 cn1Label=hotel cn2=403 cn2Label=status cn3=456 "
                + "cn3Label=microseconds flexNumber2=5 flexNumber2Label=score flexNumber1=19 flexNumber1Label=record")
        #expect(said.lines[1].hasPrefix("CEF:0|Drawbridge|Drawbridge|1.2|request-answered|Request answered|1|"))
    }

    @Test("lookup finds a guest's address by its hash, however it was encoded", arguments: ["@", "%40"])
    func lookup(at: String) throws {
        var hash = PersonalHash(key: fixture.auditKey)
        let path = "/guests/" + hash.text(for: "guest\(at)hotel.example")
        var writer = try fixture.writer()
        _ = try writer.keep(AuditFixture.request(99, time: fixture.clock.milliseconds, path: path))
        try writer.close()
        let said = try fixture.run("lookup", "guest@hotel.example")
        #expect(said.status == 0)
        #expect(said.lines[0] == "# \(hash.text(for: "guest@hotel.example")) (as given)")
        #expect(said.lines.filter { $0.contains(AuditFixture.id(99)) }.count == 2)
        #expect(try fixture.run("lookup", "--json", "other@hotel.example").lines.isEmpty)
    }

    @Test("A reader who closes the pipe ends the command without a complaint")
    func closedPipe() throws {
        signal(SIGPIPE, SIG_IGN)
        var pipe: [Int32] = [0, 0]
        #expect(Glibc.pipe(&pipe) == 0)
        close(pipe[0])
        let remarks = TrailOutput { _ in Issue.record("something was said") }
        let session = AuditSession(
            home: fixture.home, release: "1", now: 0, output: TrailOutput(descriptor: pipe[1]), remarks: remarks,
            showsProgress: false, wait: { false })
        let command = try #require(try AuditCommand(["search"]))
        #expect(command.run(session) == 0)
        close(pipe[1])
    }
}
