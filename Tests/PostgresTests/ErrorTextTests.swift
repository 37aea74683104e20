import Loop
import Testing

@testable import Postgres

private enum Misreadings {
    static let integer = Statement<Int32, String>("misreading.integer", "SELECT $1::text::int4") { row in
        try row.next()
    }
    static let day = Statement<String, String>("misreading.day", "SELECT ($1::text::date)::text") { row in
        try row.next()
    }
    static let makeRaise = Statement<Void>(
        "misreading.make_raise",
        """
        CREATE OR REPLACE FUNCTION misreading(word TEXT) RETURNS TEXT LANGUAGE plpgsql AS
        $$ BEGIN RAISE 'no such word: %', word; END $$
        """)
    static let raised = Statement<String, String>("misreading.raised", "SELECT misreading($1)") { row in
        try row.next()
    }
}

@Suite("What an error of the server says", .timeLimit(.minutes(1))) struct ErrorTextTests {
    static let values = [
        "secret", "", "\"", "secret \"secret\" secret", "\"secret", "secret\"", "secret, „secret“ «secret»",
        "\"\"secret\"\"",
    ]

    @Test("A value that cannot be read is not told, whatever quotes it holds", arguments: values)
    func quoted(value: String) async throws {
        try await withDatabase(connections: 1) { database in
            let number = await #expect(throws: PostgresError.self) {
                _ = try await database.query(Misreadings.integer(value))
            }
            #expect(number?.message == "invalid input syntax for type integer: \"…\" (22P02)")
            let day = await #expect(throws: PostgresError.self) {
                _ = try await database.query(Misreadings.day(value))
            }
            #expect(day?.message == "invalid input syntax for type date: \"…\" (22007)")
        }
    }

    @Test("What a function of the database raises is not told")
    func raised() async throws {
        try await withDatabase(connections: 1) { database in
            try await database.execute(Misreadings.makeRaise())
            let error = await #expect(throws: PostgresError.self) {
                _ = try await database.query(Misreadings.raised("\"secret\""))
            }
            #expect(error?.message == "raised by a function of the database (P0001)")
        }
    }

    @Test(
        "The quotes may be those of the server's language",
        arguments: [
            ("ungültige Eingabesyntax für Typ integer: »se\"cr\"et«", "ungültige Eingabesyntax für Typ integer: »…«"),
            (
                "syntaxe en entrée invalide pour le type integer : « secret »",
                "syntaxe en entrée invalide pour le type integer : «…»"
            ),
            ("division by zero", "division by zero"), ("no more than one \" secret", "no more than one \"…"),
        ])
    func language(text: String, told: String) {
        #expect(ServerReport(state: "22P02", text: text).safeText == told)
    }
}
