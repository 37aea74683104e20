import FoundationEssentials
import Loop
import Postgres
import Testing

private struct Day: PostgresDate, Equatable {
    let daysSinceEpoch: Int32

    init?(daysSinceEpoch days: Int) {
        guard (-719_162...2_932_896).contains(days) else { return nil }
        daysSinceEpoch = Int32(days)
    }
}

/// One that knows no calendar.
private struct AnyDay: PostgresDate {
    let daysSinceEpoch: Int32

    init(daysSinceEpoch: Int32) { self.daysSinceEpoch = daysSinceEpoch }

    init?(daysSinceEpoch days: Int) { self.init(daysSinceEpoch: Int32(truncatingIfNeeded: days)) }
}

/// Sends values and has the server send them back, and also print them, so that both directions are checked on their
/// own.
private func roundTrip<Value: PostgresCodable & Equatable>(
    _ statement: Statement<Pair<Value>, Value>, _ cases: [(Value, String?)]
) async throws {
    try await withDatabase(connections: 1) { database in
        for (value, text) in cases {
            let pair = try await database.query(statement(value))[0]
            #expect(pair.value == value)
            #expect(pair.text == text)
        }
    }
}

private struct Pair<Value: Sendable>: Sendable {
    let value: Value
    let text: String?
}

private func echo<Value: PostgresCodable>(_ name: StaticString, _ sql: StaticString) -> Statement<Pair<Value>, Value> {
    Statement(name, sql) { row in Pair(value: try row.next(), text: try row.next()) }
}

@Suite(.timeLimit(.minutes(1))) struct TypeTests {
    @Test("Booleans") func booleans() async throws {
        try await roundTrip(echo("echo.bool", "SELECT $1, $1::text"), [(true, "true"), (false, "false")])
    }

    @Test("16-bit integers") func int16() async throws {
        try await roundTrip(
            echo("echo.int2", "SELECT $1, $1::text"), [(Int16.min, "-32768"), (-1, "-1"), (0, "0"), (.max, "32767")])
    }

    @Test("32-bit integers") func int32() async throws {
        try await roundTrip(
            echo("echo.int4", "SELECT $1, $1::text"), [(Int32.min, "-2147483648"), (7, "7"), (.max, "2147483647")])
    }

    @Test("64-bit integers") func int64() async throws {
        try await roundTrip(
            echo("echo.int8", "SELECT $1, $1::text"),
            [(Int64.min, "-9223372036854775808"), (0, "0"), (.max, "9223372036854775807")])
    }

    @Test("Floating-point numbers") func doubles() async throws {
        try await roundTrip(
            echo("echo.float8", "SELECT $1, $1::text"),
            [(0.1, "0.1"), (-.infinity, "-Infinity"), (Double.greatestFiniteMagnitude, "1.7976931348623157e+308")])
    }

    @Test("Text, also empty and beyond ASCII") func text() async throws {
        try await roundTrip(
            echo("echo.text", "SELECT $1, $1"), [("", ""), ("東京 🏨", "東京 🏨"), ("'; DROP TABLE x", "'; DROP TABLE x")])
    }

    @Test("Bytes, also none and zero") func bytes() async throws {
        try await roundTrip(
            echo("echo.bytea", "SELECT $1, encode($1, 'hex')"),
            [([UInt8](), ""), ([0, 255, 1], "00ff01"), (Array(0...255), (0...255).map { hex($0) }.joined())])
    }

    private func hex(_ byte: Int) -> String { (byte < 16 ? "0" : "") + String(byte, radix: 16) }

    @Test("UUIDs") func uuids() async throws {
        let uuid = UUID(uuidString: "0F1E2D3C-4B5A-6978-8796-A5B4C3D2E1F0")!
        try await roundTrip(
            echo("echo.uuid", "SELECT $1, $1::text"), [(uuid, "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0")])
    }

    @Test("Dates") func dates() async throws {
        try await roundTrip(
            echo("echo.date", "SELECT $1, $1::text"),
            [
                (Day(daysSinceEpoch: 0)!, "1970-01-01"), (Day(daysSinceEpoch: 10_957)!, "2000-01-01"),
                (Day(daysSinceEpoch: -719_162)!, "0001-01-01"), (Day(daysSinceEpoch: 2_932_896)!, "9999-12-31"),
            ])
    }

    @Test("Instants") func instants() async throws {
        try await roundTrip(
            echo("echo.timestamptz", "SELECT $1, ($1 AT TIME ZONE 'UTC')::text"),
            [
                (Timestamp(microsecondsSince1970: 0), "1970-01-01 00:00:00"),
                (Timestamp(microsecondsSince1970: 1_700_000_000_123_456), "2023-11-14 22:13:20.123456"),
                (Timestamp(microsecondsSince1970: -1), "1969-12-31 23:59:59.999999"),
            ])
    }

    @Test("Days and instants too far back for the server's count are before all others")
    func outsideTheCalendar() async throws {
        let day = Statement<String, AnyDay>("echo.early_date", "SELECT $1::text") { row in try row.next() }
        let instant = Statement<String, Timestamp>("echo.early", "SELECT $1::text") { row in try row.next() }
        try await withDatabase(connections: 1) { database in
            let firstDay = try await database.query(day(AnyDay(daysSinceEpoch: .min)))
            #expect(firstDay == ["-infinity"])
            let first = try await database.query(instant(Timestamp(microsecondsSince1970: .min)))
            #expect(first == ["-infinity"])
        }
    }

    @Test("Times of day") func times() async throws {
        try await roundTrip(
            echo("echo.time", "SELECT $1, $1::text"),
            [(TimeOfDay(microsecondsSinceMidnight: 54_000_000_001), "15:00:00.000001")])
    }

    @Test(
        "Exact decimals",
        arguments: [
            "0", "0.00", "1", "-1", "0.1", "12.50", "-0.0001", "10000", "99999999.9999", "100000000", "0.00001000",
            "12345678901234567890123456789012345678", "-0.12345678901234567890123456789012345678", "1000000.5",
        ])
    func decimals(_ text: String) async throws {
        try await roundTrip(echo("echo.numeric", "SELECT $1, $1::text"), [(ExactDecimal(text)!, text)])
    }

    @Test("JSON") func json() async throws {
        try await roundTrip(
            echo("echo.jsonb", "SELECT $1, $1::text"), [(JSON(#"{"a": [1, null]}"#), #"{"a": [1, null]}"#)])
    }

    @Test("Null and values of optional parameters") func optionals() async throws {
        try await roundTrip(
            echo("echo.optional_int4", "SELECT $1, $1::text"), [(Int32?.none, nil), (5, "5")])
        try await roundTrip(echo("echo.optional_text", "SELECT $1, $1"), [(String?.none, nil), ("", "")])
        try await roundTrip(
            echo("echo.optional_uuids", "SELECT $1, $1::text"), [([UUID]?.none, nil), ([], "{}")])
    }

    @Test("Arrays, also empty and with nulls") func arrays() async throws {
        try await roundTrip(echo("echo.int4s", "SELECT $1, $1::text"), [([Int32](), "{}"), ([1, -2, 3], "{1,-2,3}")])
        try await roundTrip(
            echo("echo.texts", "SELECT $1, $1::text"), [(["a", "", "b c"], #"{a,"","b c"}"#)])
        try await roundTrip(
            echo("echo.optional_texts", "SELECT $1, $1::text"), [([String?]([nil, "x"]), "{NULL,x}")])
        try await roundTrip(
            echo("echo.dates", "SELECT $1, $1::text"), [([Day(daysSinceEpoch: 31)!], "{1970-02-01}")])
        try await roundTrip(
            echo("echo.numerics", "SELECT $1, $1::text"), [([ExactDecimal("1.5")!, ExactDecimal("-2")!], "{1.5,-2}")])
        try await roundTrip(
            echo("echo.byteas", "SELECT $1, $1::text"), [([JSON("1"), JSON("[]")], "{1,[]}")])
        try await roundTrip(echo("echo.bools", "SELECT $1, $1::text"), [([true, false], "{t,f}")])
    }

    @Test("Smaller integers and other text types are read as larger ones and strings") func widening() async throws {
        let wide = Statement<String>("types.wide", "SELECT 1::int2, 2::int4, 'n'::name, 'v'::varchar, 'c'::char(1)") {
            row in
            let numbers = (try row.next(Int.self), try row.next(Int64.self))
            return "\(numbers) \(try row.next(String.self))\(try row.next(String.self))\(try row.next(String.self))"
        }
        try await withDatabase(connections: 1) { database in
            let rows = try await database.query(wide())
            #expect(rows == ["(1, 2) nvc"])
        }
    }

    @Test("A result that is not what the program expects says where") func mismatches() async throws {
        let wrongType = Statement<Int>("types.wrong", "SELECT 'x'::text AS answer") { row in try row.next() }
        let null = Statement<Int>("types.null", "SELECT NULL::int8 AS answer") { row in try row.next() }
        let few = Statement<Int>("types.few", "SELECT 1, 2") { row in try row.next() }
        let many = Statement<Int>("types.many", "SELECT 1") { row in try row.next(Int.self) + row.next(Int.self) }
        let infinite = Statement<Day>("types.infinite", "SELECT 'infinity'::date AS day") { row in try row.next() }
        let late = Statement<Timestamp>("types.late", "SELECT '294276-12-31'::timestamptz AS late") { row in
            try row.next()
        }
        let huge = Statement<ExactDecimal>("types.huge", "SELECT 'NaN'::numeric AS price") { row in try row.next() }
        try await withDatabase(connections: 1) { database in
            for (query, message) in [
                (wrongType(), "column answer is text, which Int cannot be read from"),
                (null(), "column answer is null"), (few(), "has 2 columns, of which 1 are read"),
                (many(), "has 1 columns, fewer than are read"),
            ] {
                await expect(message: message, in: "types.") { _ = try await database.query(query) }
            }
            await expect(message: "column day is infinite", in: "types.infinite") {
                _ = try await database.query(infinite())
            }
            await expect(message: "column late is outside the calendar", in: "types.late") {
                _ = try await database.query(late())
            }
            await expect(message: "column price is not a finite number", in: "types.huge") {
                _ = try await database.query(huge())
            }
        }
    }

    @OnLoop
    private func expect(message: String, in statement: String, _ body: @OnLoop () async throws -> Void) async {
        do {
            try await body()
            Issue.record("nothing was thrown")
        } catch {
            let error = error as? PostgresError
            #expect(error?.code == .decoding)
            #expect(error?.message == message)
            #expect(error?.statement?.hasPrefix(statement) == true)
        }
    }
}

@Suite(.timeLimit(.minutes(1))) struct ExactDecimalTests {
    @Test("Numbers that are equal are equal whatever their zeros")
    func equality() {
        #expect(ExactDecimal("1.50") == ExactDecimal("1.5"))
        #expect(Set([ExactDecimal("1.50")!, ExactDecimal("1.5")!]).count == 1)
        #expect(ExactDecimal("0.00") == ExactDecimal("0"))
    }

    @Test("Order", arguments: [("-1", "0"), ("-1.5", "-1.4"), ("0.9", "0.91"), ("2", "10"), ("1.999", "2")])
    func order(_ smaller: String, _ larger: String) {
        #expect(ExactDecimal(smaller)! < ExactDecimal(larger)!)
        #expect(!(ExactDecimal(larger)! < ExactDecimal(smaller)!))
    }

    @Test("Units are exact or nil")
    func units() {
        #expect(ExactDecimal("12.5")?.units(scale: 2) == 1250)
        #expect(ExactDecimal("12.500")?.units(scale: 2) == 1250)
        #expect(ExactDecimal("12.505")?.units(scale: 2) == nil)
        #expect(ExactDecimal("99999999999999999999")?.units(scale: 0) == nil)
    }

    @Test("What is no number is refused", arguments: ["", "-", ".", "1.2.3", "1e5", "٣", "+1", " 1"])
    func refused(_ text: String) { #expect(ExactDecimal(text) == nil) }
}
