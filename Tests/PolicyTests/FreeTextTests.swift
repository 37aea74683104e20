import FoundationEssentials
import JSONText
import Schema
import Testing

@testable import Policy

/// What the firewall is shown of each operation's content: every text that can be another than the description says.
@Suite("Of described content, the free text")
struct FreeTextTests {
    /// An operation's content with everything in it that is described, and what is free of that.
    struct Described: CustomTestStringConvertible, Sendable {
        let operation: String
        let content: String
        let free: String
        var testDescription: String { operation }

        init(_ operation: String, _ content: String, free: String) {
            (self.operation, self.content, self.free) = (operation, content, free)
        }
    }

    private static let guest =
        #"{"name":"Mary","name_kana":"メアリー","email":"mary@mail.example","phone":"050-1234"}"#
    private static let room = #"{"room_type_id":"21","guests":2,"plan_key":"1h5"}"#
    private static let webhook =
        #""url":"https://hooks.example/a","events":["booking.created"],"hotel_ids":[1,"2"],"description":"Ours","#
        + #""retryPolicy":{"maxRetries":9,"backoff":"linear"},"payload":"thin","in_order":true,"asymmetric":false,"#
        + #""verify_ownership":true,"max_in_flight":20,"max_per_second":100"#
    private static let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

    static let operations = [
        Described(
            "setRestrictions",
            #"""
            {"hotel_id":1,"restrictions":[{"room_type_id":"11","start_date":"2027-08-01","end_date":"2027-08-16",
            "weekdays":["friday"],"minimum_nights":2,"maximum_nights":null,"closed_to_arrival":false,
            "closed_to_departure":true,"stop_sell":null}],"overbooking":[{"room_type_id":12,"rooms":1}]}
            """#, free: "{}"),
        Described(
            "setImages",
            #"{"images":[{"url":"https://a.example/1","caption":"Sea","room_type_id":null,"width":1,"height":2}]}"#,
            free: #"{"images":[{"url":"https://a.example/1","caption":"Sea"}]}"#),
        Described(
            "createBooking",
            #"""
            {"booking_engine_id":"B-1","hotel_id":1,"check_in":"2027-01-10","check_out":"2027-01-12","rooms":[\#(room)],
            "guest":\#(guest),"expected_total":{"amount":24000,"currency":"JPY"},"payment_timing":"prepaid",
            "comment":"Late","hold_minutes":5}
            """#, free: #"{"booking_engine_id":"B-1","guest":\#(guest),"comment":"Late"}"#),
        Described(
            "changeBooking",
            #"""
            {"booking_engine_id":"B-1","hotel_id":"1","check_in":"2027-01-10","check_out":"2027-01-12","rooms":[\#(room)],
            "guest":\#(guest),"expected_total":{"amount":24000,"currency":"JPY"},"payment_timing":null,
            "comment":"Late","status":"confirmed"}
            """#, free: #"{"booking_engine_id":"B-1","guest":\#(guest),"comment":"Late"}"#),
        Described(
            "issueToken", #"{"grant_type":"client_credentials","scope":"hotel:read booking:read"}"#,
            free: #"{"grant_type":"client_credentials","scope":"hotel:read booking:read"}"#),
        Described(
            "refreshToken", #"{"grant_type":"refresh_token","refresh_token":"dbr_x","scope":"hotel:read"}"#,
            free: #"{"grant_type":"refresh_token","refresh_token":"dbr_x","scope":"hotel:read"}"#),
        Described("validateToken", #"{"token":"a.b.c"}"#, free: #"{"token":"a.b.c"}"#),
        Described(
            "createAPIKey",
            #"""
            {"client":"shop.1","scopes":["hotel:read"],"hotel_id":3,"expires_in_days":90,"description":"The shop's",
            "pms_user_id":2}
            """#, free: #"{"client":"shop.1","description":"The shop's"}"#),
        Described("rotateAPIKey", #"{"overlap_days":7,"expires_in_days":90}"#, free: "{}"),
        Described("updateHotels", #"{"hotel_ids":[1,"2"]}"#, free: "{}"),
        Described("updateRoomTypes", #"{"hotel_ids":[1,"2"]}"#, free: "{}"),
        Described(
            "refreshAvailability",
            #"{"hotel_id":1,"room_type_id":"11","start_date":"2027-01-10","end_date":"2027-01-12"}"#, free: "{}"),
        Described("abandonDeadLetter", #"{"reason":"Ticket #4711"}"#, free: #"{"reason":"Ticket #4711"}"#),
        Described(
            "subscribeWebhook", #"{\#(webhook),"secret":"\#(secret)"}"#,
            free: #"{"url":"https://hooks.example/a","description":"Ours"}"#),
        Described(
            "changeWebhook", #"{\#(webhook),"enabled":true}"#,
            free: #"{"url":"https://hooks.example/a","description":"Ours"}"#),
        Described(
            "rotateWebhookSecret", #"{"secret":"\#(secret)","overlap_hours":24}"#, free: "{}"),
        Described(
            "replayWebhook",
            #"{"since":"2026-12-01T08:00:00Z","until":"2026-12-01T12:00:00Z","events":["booking.created"]}"#, free: "{}"
        ),
        Described(
            "retryWebhookDeadLetters",
            #"""
            {"endpoint_id":"3f0d6b7e-6c1b-4e0f-9f3e-6a2f1f1f4c55","ids":["019af3c2-5d11-7c3e-9a51-0d6f0b7f2a10"],
            "reason":"exhausted","since":"2026-12-01T08:00:00Z","until":"2026-12-01T12:00:00Z","events":["sync.failed"]}
            """#, free: "{}"),
    ]

    private static let description = TemporaryDirectory.repository + "/openapi.yaml"
    private let table: RouteTable

    init() throws { table = try RouteTable.load(Self.description) }

    private func schema(_ operation: String) throws -> Schema {
        let route = try #require(table.routes.first { $0.operationID == operation })
        return try #require(route.request.content)
    }

    private func freeText(_ content: String, _ operation: String) throws -> String {
        let document = try JSONDocument(parsing: Array(content.utf8))
        return String(decoding: try schema(operation).validate(document).freeText, as: UTF8.self)
    }

    /// What others send to us is described by nobody here.
    private static let undescribed = "receiveInbound"

    @Test("is all of what is not described")
    func undescribed() throws {
        let content = #"{"hotel":"7","events":[{"type":"<script>alert(1)</script>","count":1}]}"#
        #expect(try freeText(content, Self.undescribed) == content)
    }

    @Test("is what no description confines", arguments: operations)
    func free(_ described: Described) throws {
        #expect(try freeText(described.content, described.operation) == described.free)
    }

    @Test("holds an attack wherever one can stand; elsewhere it is refused", arguments: operations)
    func attacks(_ described: Described) throws {
        let schema = try schema(described.operation)
        let free = try JSONValue(parsing: Array(described.free.utf8))
        let places = try JSONValue(parsing: Array(described.content.utf8)).places()
        #expect(!places.isEmpty)
        for attack in [
            "' OR 1=1 --", "<script>alert(1)</script>", "${jndi:ldap://x.example/a}", "1;cat /etc/passwd", "1'--",
        ] {
            for place in places {
                let content = place.content(attack)
                let document = try JSONDocument(parsing: Array(content.utf8))
                guard let valid = try? schema.validate(document) else { continue }
                // The description lets it through, so it stands where a text was free.
                #expect(String(decoding: valid.freeText, as: UTF8.self).contains(attack), "\(content)")
                #expect(free[place.path], "\(content)")
            }
        }
    }

    @Test("is looked at for every operation with content, and for all that is described of it")
    func all() throws {
        let withContent = table.routes.filter { $0.request.content != nil }.map(\.operationID)
        #expect(Set(withContent) == Set(Self.operations.map(\.operation)).union([Self.undescribed]))
        let file = try Data(contentsOf: URL(filePath: Self.description))
        let root = try #require(YAMLParser.document([UInt8](file), log: MistakeLog(file: "openapi.yaml")))
        guard case .mapping(let paths)? = root["paths"]?.value else { return #expect(Bool(false), "no paths") }
        var count = 0
        for path in paths {
            guard case .mapping(let operations) = path.value.value else { continue }
            for operation in operations {
                guard let schema = operation.value["requestBody"]?["content"]?["application/json"]?["schema"],
                    case .scalar(let name, _)? = operation.value["operationId"]?.value,
                    let described = Self.operations.first(where: { $0.operation == name })
                else { continue }
                count += 1
                let content = try JSONValue(parsing: Array(described.content.utf8))
                #expect(content.names == Self.names(schema, root), "\(name)")
            }
        }
        #expect(count == Self.operations.count)
    }

    /// The names of all members that a schema describes.
    private static func names(_ schema: YAMLNode, _ root: YAMLNode) -> Set<String> {
        if case .scalar(let reference, _)? = schema["$ref"]?.value {
            let target = reference.dropFirst(2).split(separator: "/").reduce(Optional(root)) { $0?[String($1)] }
            return target.map { names($0, root) } ?? []
        }
        var all: Set<String> = []
        if case .mapping(let properties)? = schema["properties"]?.value {
            for property in properties { all.formUnion(names(property.value, root).union([property.key])) }
        }
        for keyword in ["anyOf", "allOf", "oneOf"] {
            guard case .sequence(let parts)? = schema[keyword]?.value else { continue }
            for part in parts { all.formUnion(names(part, root)) }
        }
        return schema["items"].map { all.union(names($0, root)) } ?? all
    }
}

/// A place in a JSON text in which something else can stand.
private struct Place {
    /// The names that lead to it, without positions.
    var path: [String] = []
    /// The whole text, something else standing there.
    let content: (String) -> String
}

extension JSONValue {
    fileprivate var names: Set<String> {
        switch self {
        case .array(let elements): elements.reduce(into: []) { $0.formUnion($1.names) }
        case .object(let members): members.reduce(into: []) { $0.formUnion($1.value.names.union([$1.name])) }
        default: []
        }
    }

    /// Whether there is something at the end of these names.
    fileprivate subscript(path: [String]) -> Bool {
        switch self {
        case .array(let elements): return elements.contains { $0[path] }
        default:
            guard let name = path.first else { return true }
            return self[name]?[Array(path.dropFirst())] ?? false
        }
    }

    fileprivate var text: String {
        switch self {
        case .null: "null"
        case .bool(let truth): "\(truth)"
        case .integer(let number): "\(number)"
        case .number(let text): text
        case .string(let text): "\"\(text)\""
        case .array(let elements): "[\(elements.map(\.text).joined(separator: ","))]"
        case .object(let members): "{\(members.map { "\"\($0.name)\":\($0.value.text)" }.joined(separator: ","))}"
        }
    }

    /// All values of it, and a further member of each object.
    fileprivate func places() -> [Place] {
        switch self {
        case .array(let elements):
            return elements.indices.flatMap { index in
                elements[index].places().map { place in
                    Place(path: place.path) { other in
                        let texts = elements.indices.map { $0 == index ? place.content(other) : elements[$0].text }
                        return "[\(texts.joined(separator: ","))]"
                    }
                }
            }
        case .object(let members):
            let more = Place { other in "{\"\(other)\":1,\(text.dropFirst())" }
            return [more]
                + members.indices.flatMap { index in
                    members[index].value.places().map { place in
                        Place(path: [members[index].name] + place.path) { other in
                            let texts = members.indices.map { position in
                                let value = members[position].value
                                return "\"\(members[position].name)\":"
                                    + (position == index ? place.content(other) : value.text)
                            }
                            return "{\(texts.joined(separator: ","))}"
                        }
                    }
                }
        default: return [Place { "\"\($0)\"" }]
        }
    }
}
