import Booking
import Schema
import Testing

@testable import Policy

@Suite("Schemas in the description")
struct SchemaPolicyTests {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    private func found(_ text: String) throws -> [String] {
        let file = try directory.write(text, to: "openapi.yaml")
        return mistakes { () throws(PolicyError) in _ = try RouteTable.load(file) }.map { "\($0.line): \($0.key)" }
    }

    @Test("A keyword that is not checked is a mistake wherever it stands, each told once with its place")
    func unknownKeywords() throws {
        let text = """
            openapi: 3.1.0
            surprise: 1
            paths:
              /a:
                post:
                  operationId: a
                  x-drawbridge: {auth: [jwt], scopes: [admin], hotel: none}
                  parameters:
                    - {name: q, in: query, style: form, schema: {type: integer, maxLenght: 3}}
                    - {name: h, in: header, schema: {type: array}}
                    - {name: c, in: cookie, schema: {}}
                    - {name: Content-Type, in: header, schema: {}}
                  requestBody:
                    content:
                      application/json: {schema: {$ref: "#/components/schemas/Body"}}
                      text/plain: {schema: {}}
                  responses:
                    "2xx": {description: d}
                    default: {description: d, content: {application/json: {schema: {nullable: true}}}}
            components:
              schemas:
                Body: {type: object, properties: {a: {format: hostname}}, patternProperties: {}}
              headers:
                X: {schema: {pattern: "(?=x)"}}
            """
        let mistakes = try found(text)
        #expect(
            mistakes == [
                "2: surprise", "9: paths./a.post.parameters[0].style",
                "9: paths./a.post.parameters[0].schema.maxLenght",
                "10: paths./a.post.parameters[1].schema", "11: paths./a.post.parameters[2]",
                "11: paths./a.post.parameters[2].in", "12: paths./a.post.parameters[3]",
                "16: paths./a.post.requestBody.content.text/plain", "18: paths./a.post.responses.2xx",
                "19: paths./a.post.responses.default.content.application/json.schema.nullable",
                "22: components.schemas.Body.properties.a.format", "22: components.schemas.Body.patternProperties",
                "24: components.headers.X.schema.pattern",
            ])
    }

    @Test("A booking that the bridge can read is let through, and one that it cannot is mostly not")
    func bookings() throws {
        let table = try RouteTable.load(TemporaryDirectory.repository + "/openapi.yaml")
        let route = try #require(table.routes.first { $0.operationID == "createBooking" })
        let schema = try #require(route.request.content)
        let good =
            #"{"booking_engine_id":"ID","hotel_id":2,"check_in":"2027-01-10","check_out":"2027-01-12","#
            + #""rooms":[{"room_type_id":21,"guests":1,"plan_key":"1h"}],"guest":{"name":"O'Brien \"Bob\" 山田 太郎"}}"#
        func violations(_ json: String) throws -> [Violation] {
            schema.violations(in: try JSONDocument(parsing: Array(json.utf8)))
        }
        for (old, new) in [
            ("", ""), ("\"hotel_id\":2", "\"hotel_id\":\"2\""), (":21", ":\"21\""), ("1h", "h169"),
            (
                "\"guest\":{",
                "\"comment\":null,\"hold_minutes\":null,\"expected_total\":null,\"payment_timing\":null,\"guest\":{"
            ),
            ("\"guest\":{", "\"comment\":\"a\\r\\n\\tb\",\"guest\":{"),
            ("\"guest\":{", "\"comment\":\"\",\"hold_minutes\":60,\"payment_timing\":\"on-site\",\"guest\":{"),
            ("\"guest\":{", "\"expected_total\":{\"amount\":24000,\"currency\":\"JPY\"},\"guest\":{"),
            (
                "\"guest\":{",
                "\"guest\":{\"email\":\"a..b.@docomo.example.jp\",\"phone\":\"+81 (3) 1234-5678\",\"name_kana\":null,"
            ),
        ] {
            let json = old.isEmpty ? good : good.replacing(old, with: new)
            #expect(throws: Never.self) { try BookingRequestBody(json: Array(json.utf8)) }
            let violations = try violations(json)
            #expect(violations.isEmpty, "\(json): \(violations)")
        }
        for (old, new, pointer) in [
            ("\"hotel_id\":2,", "", "/hotel_id"), (":2,", ":2.5,", "/hotel_id"), ("01-10", "02-30", "/check_in"),
            ("\"1h\"", "\"h\"", "/rooms/0/plan_key"),
            (":1,", ":\"1\",", "/rooms/0/guests"), ("\"guest\":{", "\"guest\":{\"x\":1,", "/guest/x"),
            ("O'Brien", "O\\u0000Brien", "/guest/name"),
            ("O'Brien", "\u{202E}O'Brien", "/guest/name"),
            ("\"guest\":{", "\"comment\":\"a\\u0007\",\"guest\":{", "/comment"),
        ] {
            #expect(try violations(good.replacing(old, with: new)).map(\.pointer) == [pointer])
        }
    }
}
