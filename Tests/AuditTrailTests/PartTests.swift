import Testing

@testable import AuditTrail

@Suite("Parts of the audit commands")
struct PartTests {
    @Test(
        "A value of a CEF extension is escaped",
        arguments: [
            ("plain", "plain"), ("a=b", #"a\=b"#), (#"a\b"#, #"a\\b"#), ("a|b", "a|b"), ("a\nb\rc", #"a\nb\rc"#),
            ("a\r\nb", #"a\r\nb"#), (#"\="#, #"\\\="#), ("\u{0}\u{1B}\u{7F}\u{85}\u{2028}", "     "), ("é=山", #"é\=山"#),
            ("e\u{301}=\u{301}", "e\u{301}\\=\u{301}"),
        ])
    func extensionValue(text: String, escaped: String) {
        #expect(Array(CommonEventFormat.value(text).unicodeScalars) == Array(escaped.unicodeScalars))
    }

    @Test(
        "A field of a CEF header is escaped",
        arguments: [("a|b", #"a\|b"#), (#"a\b"#, #"a\\b"#), ("a=b", "a=b"), ("a\nb", "a b"), (#"\|"#, #"\\\|"#)])
    func headerField(text: String, escaped: String) {
        #expect(CommonEventFormat.header(text) == escaped)
    }

    private static let readable: [(String, Int64)] = [
        ("1970-01-01T00:00:00Z", 0), ("2026-11-21T10:00:00Z", 1_795_255_200_000),
        ("2026-11-21t12:00:00.5+02:00", 1_795_255_200_500), ("2026-11-21 09:30:00.12345-00:30", 1_795_255_200_123),
        ("2026-11-21", 1_795_219_200_000), ("2024-02-29", 1_709_164_800_000), ("2h", 999_992_800_000),
        ("90s", 999_999_910_000), ("7d", 999_395_200_000),
        ("1969-12-31T23:59:59.999Z", -1),
    ]

    @Test("Times are read as people write them", arguments: readable)
    func times(text: String, expected: Int64) {
        #expect(Timestamp.parse(text, now: 1_000_000_000_000) == expected)
        if text.hasSuffix("Z") { #expect(Timestamp.parse(Timestamp.text(expected), now: 0) == expected) }
    }

    @Test(
        "What is no time is not read as one",
        arguments: [
            "", "h", "-2h", "2", "2026", "2026-13-01", "2026-02-30", "2023-02-29", "2026-11-21T10:00:00",
            "2026-11-21T24:00:00Z", "2026-11-21T10:00:00.Z", "2026-11-21T10:00Z", "2026-11-21T10:00:00Zx", "2026-1-1",
            "99999999999d",
        ])
    func noTimes(text: String) { #expect(Timestamp.parse(text, now: 0) == nil) }

    @Test(
        "An address is in its range, however it is written",
        arguments: [
            ("203.0.113.7", "203.0.113.7", true), ("203.0.113.7", "203.0.113.70", false),
            ("203.0.113.0/25", "203.0.113.127", true), ("203.0.113.0/25", "203.0.113.128", false),
            ("0.0.0.0/0", "9.9.9.9", true), ("0.0.0.0/0", "::1", false), ("2001:db8::/32", "2001:DB8:0:0::1", true),
            ("2001:db8::/32", "2001:db9::1", false), ("::ffff:1.2.3.4", "1.2.3.4", true), ("1.2.3.4", "", false),
            ("2001:db8::/33", "2001:db8:8000::", false),
        ])
    func addresses(range: String, address: String, isIn: Bool) throws {
        #expect(try #require(AddressRange(range)).contains(address) == isIn)
    }

    @Test(
        "What is no address is none", arguments: ["", "1.2.3", "1.2.3.4/33", "1.2.3.4/", "x", "::/129", "1.2.3.4/-1"])
    func noAddresses(text: String) { #expect(AddressRange(text) == nil) }

    @Test("A byte string is found wherever it stands")
    func byteSearch() {
        let text = Array("abracadabra".utf8)
        for start in 0..<text.count {
            for end in (start + 1)...text.count {
                let needle = Array(text[start..<end])
                let first = (0...text.count - needle.count).first { text[$0..<$0 + needle.count].elementsEqual(needle) }
                let found = text.withUnsafeBytes { ByteSearch(needle).offset(in: $0) }
                #expect(found == first)
            }
        }
        #expect(text.withUnsafeBytes { ByteSearch(Array("abrax".utf8)).offset(in: $0) } == nil)
        #expect([UInt8]().withUnsafeBytes { ByteSearch(text).offset(in: $0) } == nil)
    }

    @Test("A value is searched for as it may have been encoded")
    func spellings() {
        #expect(
            PersonalHash.spellings(of: "山 @").map(\.text) == [
                "山 @", "%E5%B1%B1%20%40", "%E5%B1%B1%20@", "%e5%b1%b1%20%40", "%e5%b1%b1%20@",
            ])
        #expect(PersonalHash.spellings(of: "token").map(\.text) == ["token"])
    }

    private static let mistakes: [([String], String)] = [
        ([], "audit what?"), (["dance"], "no such audit command: dance"),
        (["show"], "SEQ or REQUEST-ID is missing"),
        (["show", "1", "2"], "unexpected: 2"), (["verify", "--frob"], "unexpected: --frob"),
        (["verify", "--key"], "--key needs a value"), (["verify", "--key="], "--key needs a value"),
        (["search", "--hotel", "x"], "--hotel takes a number from 0 to 2147483647, not x"),
        (["search", "--hotel", "1", "--hotel", "2"], "--hotel stands twice"),
        (["search", "--since", "tomorrow"], "--since takes \(Timestamp.expected), not tomorrow"),
        (["search", "--address", "x"], "--address takes an IP address or range, not x"),
        (["search", "--limit", "0"], "--limit takes a number from 1 to 9223372036854775807, not 0"),
        (["prove", "x"], "SEQ is a record's number, not x"), (["consistency"], "OLD-CHECKPOINT is missing"),
        (["export", "--format", "xml"], "--format takes ocsf or cef, not xml"), (["lookup"], "TEXT is missing"),
        (["follow", "--limit", "3"], "unexpected: --limit"), (["prove", "-1"], "unexpected: -1"),
    ]

    @Test("A command line that cannot be understood is refused with the reason", arguments: mistakes)
    func usage(arguments: [String], complaint: String) {
        #expect(throws: AuditUsageError(complaint)) { try AuditCommand(arguments) }
    }

    @Test("Options may stand before or behind what they are for, with a blank or an equals sign")
    func options() throws {
        let expected = try AuditCommand(["show", "17", "--ledger", "x", "--json"])
        #expect(try AuditCommand(["show", "--json", "--ledger=x", "17"]) == expected)
        #expect(try AuditCommand(["show", "--json", "--ledger=x", "--", "17"]) == expected)
        #expect(try AuditCommand(["help"]) == nil)
        #expect(try AuditCommand(["search", "--help"]) == nil)
    }
}
