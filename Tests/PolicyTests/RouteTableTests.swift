import Authentication
import HTTP
import Testing

@testable import Policy

@Suite("The repository's routes")
struct RouteTableTests {
    private let table: RouteTable
    private let booking = "0b5e7a3c-59a8-4c0e-9a3e-0f6f2f4c8f11"

    init() throws { table = try RouteTable.load(TemporaryDirectory.repository + "/openapi.yaml") }

    private func operation(_ method: Method, _ path: String) -> String? {
        guard case .route(let match) = table.match(method, path: path) else { return nil }
        return match.route.operationID
    }

    @Test("They are the calls of the contract, each with its terms")
    func terms() throws {
        let terms = Dictionary(uniqueKeysWithValues: table.routes.map { ($0.operationID, $0.terms) })
        #expect(Set(terms.keys) == Set(Operation.names))
        for trigger in ["updateHotels", "updateRoomTypes", "refreshAvailability", "setImages", "setRestrictions"] {
            #expect(terms[trigger]?.scopes == [.cacheWrite], "\(trigger)")
            #expect(terms[trigger]?.rateClasses == ["cache"], "\(trigger)")
        }
        // Whoever has proven nothing gets at two things: what everybody may know, and what brings its proof with it.
        let open = terms.filter { $0.value.authentication.contains(.anonymous) }
        #expect(Set(open.keys) == ["getSigningKeys", "refreshToken"])
        #expect(open.values.allSatisfy { $0.scopes.isEmpty && $0.bodyLimit <= .kibibytes(4) })
        for name in ["createAPIKey", "listAPIKeys", "rotateAPIKey", "revokeAPIKey"] {
            #expect(terms[name]?.scopes == [.admin])
        }
        let change = try #require(terms["changeBooking"])
        #expect(change.scopes == [.bookingWrite])
        #expect(change.rateClasses == ["booking"])
        #expect(change.hotel == .none)
        let cancel = try #require(terms["cancelBooking"])
        #expect(cancel.scopes == [.bookingWrite])
        #expect(cancel.bodyLimit == .bytes(0))
        #expect(try #require(terms["listBookings"]).scopes == [.bookingRead])
        let create = try #require(terms["createBooking"])
        #expect(create.scopes == [.bookingWrite])
        #expect(create.hotel == .body(pointer: "/hotel_id"))
        #expect(create.bodyLimit == .kibibytes(64))
        #expect(create.takesJSON)
        let availability = try #require(terms["getAvailability"])
        #expect(availability.scopes == [.availabilityRead])
        #expect(availability.hotel == .path(parameter: "hotel_id"))
        #expect(availability.bodyLimit == .bytes(0))
        #expect(!availability.takesJSON)
        #expect(availability.timeout == .seconds(5))
        #expect(availability.authentication == [.jwt, .apiKey, .signature])
        #expect(availability.isForwarded)
        #expect(availability.audit == nil)
    }

    @Test("A path leads to its operation, HEAD to that of GET")
    func lookup() {
        #expect(operation(.get, "/api/booking-engine/hotels") == "listHotels")
        #expect(operation(.head, "/api/booking-engine/hotels") == "listHotels")
        #expect(operation(.get, "/api/booking-engine/hotels/7") == "getHotel")
        #expect(operation(.get, "/api/booking-engine/room-types/7") == "listRoomTypes")
        #expect(operation(.get, "/api/booking-engine/availability/7") == "getAvailability")
        #expect(operation(.post, "/api/booking-engine/bookings") == "createBooking")
        #expect(operation(.get, "/api/booking-engine/bookings") == "listBookings")
        #expect(operation(.put, "/api/booking-engine/bookings/\(booking)") == "changeBooking")
        #expect(operation(.delete, "/api/booking-engine/bookings/\(booking)") == "cancelBooking")
        #expect(operation(.get, "/api/booking-engine/bookings/\(booking)") == "getBooking")
        #expect(operation(.get, "/api/booking-engine/bookings/\(booking.uppercased())") == "getBooking")
    }

    @Test("A parameter's value is read from the path")
    func parameters() throws {
        let path = "/api/booking-engine/availability/2147483648"
        guard case .route(let match) = table.match(.get, path: path) else {
            Issue.record("no route")
            return
        }
        let integer = match.integer("hotel_id", in: path.utf8.span)
        let text = match.value(of: "hotel_id", in: path.utf8.span)
        #expect(integer == 2_147_483_648)
        #expect(text == "2147483648")
        #expect(match.range(of: "other") == nil)
    }

    @Test("Numbers and UUIDs are ids, other text is not")
    func ids() {
        func ids(_ method: Method, _ path: String) -> [Range<Int>]? {
            guard case .route(let match) = table.match(method, path: path) else { return nil }
            return match.ids.indices.map { match.ids[$0] }.filter { !$0.isEmpty }
        }
        #expect(ids(.get, "/api/booking-engine/availability/17") == [33..<35])
        #expect(ids(.put, "/api/booking-engine/bookings/\(booking)") == [29..<65])
        #expect(ids(.get, "/api/booking-engine/hotels") == [])
        #expect(ids(.post, "/api/webhooks/inbound/demo") == [])
    }

    @Test("Another method is answered with those the path has")
    func methodNotAllowed() throws {
        func allowed(_ method: Method, _ path: String) -> [Method]? {
            guard case .methodNotAllowed(let allowed) = table.match(method, path: path) else { return nil }
            return allowed
        }
        #expect(allowed(.delete, "/api/booking-engine/hotels") == [.get, .head])
        #expect(allowed(.put, "/api/booking-engine/bookings") == [.get, .head, .post])
        #expect(allowed(.options, "/api/booking-engine/bookings") == [.get, .head, .post])
        #expect(allowed(.post, "/api/booking-engine/bookings/\(booking)") == [.get, .head, .put, .delete])
    }

    @Test(
        "A path that is not exactly a described one is not found",
        arguments: [
            "", "/", "//", "*", "api/booking-engine/hotels", "/api", "/api/booking-engine",
            "/api/booking-engine/hotels/",
            "/api/booking-engine//hotels", "//api/booking-engine/hotels", "/api/booking-engine/hotels/7/",
            "/api/booking-engine/./hotels", "/api/booking-engine/x/../hotels", "/api/booking-engine/hotels/.",
            "/api/booking-engine/hotels/..", "/API/booking-engine/hotels", "/api/booking-engine/hotels?x=1",
            "/api/booking-engine/hotels;v=1", "/api/booking-engine/hotels/7%20", "/api/booking-engine/hotels/%37",
            "/api/booking-engine/%68otels", "/api%2fbooking-engine/hotels", "/api/booking-engine/hotels%2f7",
            "/api/booking-engine/hotels/seven", "/api/booking-engine/hotels/-7", "/api/booking-engine/hotels/+7",
            "/api/booking-engine/hotels/7.0", "/api/booking-engine/hotels/0x7",
            "/api/booking-engine/hotels/12345678901",
            "/api/booking-engine/hotels/７", "/api/booking-engine/hotels/7\0", "/api/booking-engine/hotels/7\\",
            "/api/booking-engine/bookings/7", "/api/booking-engine/bookings/0b5e7a3c-59a8-4c0e-9a3e-0f6f2f4c8f1",
            "/api/booking-engine/bookings/0b5e7a3c-59a8-4c0e-9a3e-0f6f2f4c8f1g",
            "/api/booking-engine/bookings/0b5e7a3c-59a8-4c0e-9a3e_0f6f2f4c8f11",
            "/api/booking-engine/bookings/0b5e7a3c59a84c0e9a3e0f6f2f4c8f110000",
        ])
    func notFound(path: String) {
        guard case .notFound = table.match(.get, path: path) else {
            Issue.record("\(path) was found")
            return
        }
    }
}

@Suite("Compiling routes")
struct RouteCompilationTests {
    private let directory: TemporaryDirectory
    private let terms = #"{auth: [jwt], scopes: ["hotel:read"], hotel: none}"#

    init() throws { directory = try TemporaryDirectory() }

    /// One `get` per template, the type of each parameter given after its name.
    private func description(_ templates: [String]) -> String {
        var text = "openapi: 3.1.0\npaths:\n"
        for (number, template) in templates.enumerated() {
            let parameters = template.matches(of: /{(\w+):(\w+)}/).map { match in
                let schema =
                    switch match.2 {
                    case "int": "{type: integer}"
                    case "uuid": "{type: string, format: uuid}"
                    default: "{type: string}"
                    }
                return "{name: \(match.1), in: path, required: true, schema: \(schema)}"
            }
            let path = template.replacing(/:\w+}/, with: "}")
            text += "  \"\(path)\":\n    parameters: [\(parameters.joined(separator: ", "))]\n"
            text += "    get: {operationId: op\(number), x-drawbridge: \(terms)}\n"
        }
        return text
    }

    private func table(_ templates: [String]) throws -> RouteTable {
        try RouteTable.load(directory.write(description(templates), to: "openapi.yaml"))
    }

    private func found(_ text: String) throws -> [Mistake] {
        let file = try directory.write(text, to: "openapi.yaml")
        return mistakes { () throws(PolicyError) in _ = try RouteTable.load(file) }
    }

    private func template(_ table: RouteTable, _ path: String) -> String? {
        guard case .route(let match) = table.match(.get, path: path) else { return nil }
        return match.route.template
    }

    @Test("What is forwarded has to be what the bridge implements; what is only described need not")
    func operations() throws {
        let operation = { (id: String, more: String) in
            """
            openapi: 3.1.0
            paths:
              /a:
                get:
                  operationId: \(id)
                  x-drawbridge: {auth: [jwt], scopes: [admin], hotel: none\(more)}
            """
        }
        func found(_ text: String) throws -> [Mistake] {
            try directory.write(text, to: "openapi.yaml")
            let policies = PolicyDirectory(path: directory.path, installation: directory.path)
            return mistakes { () throws(PolicyError) in _ = try policies.routes() }
        }
        for operationID in Operation.names { #expect(try found(operation(operationID, "")) == []) }
        #expect(try found(operation("sing", ", forward: false")) == [])
        let mistake = try #require(try found(operation("sing", "")).first)
        #expect(mistake.line == 5 && mistake.key.hasSuffix("get.operationId") && mistake.found == "sing")
        #expect(mistake.expected.hasPrefix("an operation that the bridge implements (listHotels, getHotel, "))
    }

    @Test("A fixed segment wins over a parameter, and a parameter is tried where it leads no further")
    func precedence() throws {
        let table = try table(["/a/{x:int}", "/a/{x:int}/c", "/a/{t:text}/d/e", "/a/7/d/{y:uuid}", "/a/{y:uuid}/f"])
        #expect(template(table, "/a/7") == "/a/{x}")
        #expect(template(table, "/a/7/c") == "/a/{x}/c")
        #expect(template(table, "/a/7/d/e") == "/a/{t}/d/e")
        #expect(template(table, "/a/8/d/e") == "/a/{t}/d/e")
        #expect(template(table, "/a/0b5e7a3c-59a8-4c0e-9a3e-0f6f2f4c8f11/f") == "/a/{y}/f")
        #expect(template(table, "/a/x") == nil)
        #expect(template(table, "/a/7/d") == nil)
    }

    @Test("Parameters found on the way back are those of the template matched")
    func backtrackedParameters() throws {
        let path = "/7/b/9/e"
        guard
            case .route(let match) = try table(["/{p:int}/b/{q:int}/d", "/{r:text}/b/{s:text}/e"]).match(
                .get, path: path)
        else {
            Issue.record("no route")
            return
        }
        let values = ["r", "s"].map { match.value(of: $0, in: path.utf8.span) }
        #expect(values == ["7", "9"])
        #expect(match.ids.indices.allSatisfy { match.ids[$0].isEmpty })
    }

    @Test("What was found on a way that led no further is no id")
    func abandonedParameters() throws {
        let table = try table(["/{p:int}/{q:text}/{r:int}/d", "/{s:text}/fixed/{t:text}", "/{p:int}/x/{v:int}"])
        guard case .route(let match) = table.match(.get, path: "/1/fixed/22"),
            case .route(let other) = table.match(.get, path: "/1/x/22")
        else {
            Issue.record("no route")
            return
        }
        #expect(match.ids.indices.allSatisfy { match.ids[$0].isEmpty })
        #expect(other.ids.indices.map { other.ids[$0] } == [1..<2, 5..<7, 0..<0, 0..<0])
    }

    @Test("Free text takes unreserved characters only, and no dot segments")
    func text() throws {
        let table = try table(["/a/{t:text}"])
        #expect(template(table, "/a/x-Y_z~1.2") != nil)
        for path in ["/a/", "/a/.", "/a/..", "/a/x%41", "/a/x y", "/a/x:y", "/a/é", "/a/x;y"] {
            #expect(template(table, path) == nil, "\(path)")
        }
    }

    @Test(
        "Templates that one path could match equally well are a mistake",
        arguments: [
            ["/a/{x:int}", "/a/{y:int}"], ["/{k:text}/new", "/a/{x:text}"], ["/{k:text}/7", "/a/{x:int}"],
            ["/a/{x:int}/{y:text}", "/a/{v:text}/{w:int}"], ["/a/{x:int}", "/a/{y:uuid}"],
        ])
    func ambiguous(templates: [String]) throws {
        let found = try found(description(templates))
        #expect(found.count == 1)
        #expect(found.first?.expected == "templates of which every path matches one best")
    }

    @Test(
        "Templates that no path matches both are fine",
        arguments: [
            ["/{k:int}/new", "/a/{x:text}"], ["/a/{x:int}/b", "/a/{y:uuid}/c"], ["/a/{x:int}", "/a/new"],
            ["/a", "/a/{x:int}"],
        ])
    func unambiguous(templates: [String]) throws { #expect(try table(templates).routes.count == 2) }

    @Test("A route says how sure its record must be", arguments: Route.AuditDurability.allCases)
    func audit(durability: Route.AuditDurability) throws {
        let terms = "{auth: [jwt], scopes: [admin], hotel: none, audit: \(durability.rawValue)}"
        let text = "openapi: 3.1.0\npaths:\n  /a:\n    get: {operationId: a, x-drawbridge: \(terms)}\n"
        #expect(try RouteTable.load(directory.write(text, to: "openapi.yaml")).routes.first?.terms.audit == durability)
    }

    @Test(
        "A template of another form is a mistake",
        arguments: [
            "a", "/a/", "/a//b", "/a/b{x}", "/a/{x", "/a/{}", "/a/..", "/a%20b", "/{a}/{a}", "/{a}/{b}/{c}/{d}/{e}",
        ])
    func templates(path: String) throws {
        let text = "openapi: 3.1.0\npaths:\n  \"\(path)\":\n    get: {operationId: a, x-drawbridge: \(terms)}\n"
        #expect(try found(text).map(\.line) == [4])
    }

    @Test(
        "An operation with a slip of the pen is refused",
        arguments: [
            "get: {x-drawbridge: TERMS}", "get: {operationId: a}", "get: {operationId: a, x-drawbrigde: TERMS}",
            "get: {operationId: a, x-drawbridge: TERMS, parametres: []}", "GET: {operationId: a, x-drawbridge: TERMS}",
            "fetch: {operationId: a, x-drawbridge: TERMS}", "head: {operationId: a, x-drawbridge: TERMS}",
            "get: {operationId: a, x-drawbridge: {auth: [none], scopes: [admin], hotel: none}}",
            "get: {operationId: a, x-drawbridge: {auth: [], scopes: [admin], hotel: none}}",
            "get: {operationId: a, x-drawbridge: {scopes: [admin], hotel: none}}",
            "get: {operationId: a, x-drawbridge: {auth: [jwt], scopes: [root], hotel: none}}",
            "get: {operationId: a, x-drawbridge: {auth: [jwt], scopes: [], hotel: none}}",
            "get: {operationId: a, x-drawbridge: {auth: [jwt], scopes: nobody, hotel: none}}",
            "get: {operationId: a, x-drawbridge: {auth: [jwt], hotel: none}}",
            "get: {operationId: a, x-drawbridge: {auth: [jwt], scopes: [admin]}}",
            "get: {operationId: a, x-drawbridge: {auth: [jwt], scopes: [admin], hotel: nowhere}}",
            "get: {operationId: a, x-drawbridge: {auth: [jwt], scopes: [admin], hotel: {in: path, name: hotel_id}}}",
            "get: {operationId: a, x-drawbridge: {auth: [jwt], scopes: [admin], hotel: {in: query, name: hotel_id}}}",
            "get: {operationId: a, x-drawbridge: {auth: [jwt], scopes: [admin], hotel: {in: body, pointer: /x}}}",
            "get: {operationId: a, x-drawbridge: {auth: [jwt], scopes: [admin], hotel: none, body_limit: 1 KiB}}",
            "get: {operationId: a, x-drawbridge: {auth: [jwt], scopes: [admin], hotel: none, timeout: 5}}",
            "get: {operationId: a, x-drawbridge: {auth: [jwt], scopes: [admin], hotel: none, forward: maybe}}",
            "get: {operationId: a, x-drawbridge: {auth: [jwt], scopes: [admin], hotel: none, audit: never}}",
            "get: {operationId: a, x-drawbridge: TERMS, parameters: [{name: x, in: path, required: true, schema: {type: integer}}]}",
            "get: {operationId: a, x-drawbridge: TERMS, parameters: [{$ref: '#/nowhere'}]}",
            "get: {operationId: a, x-drawbridge: TERMS, parameters: [{$ref: 'https://example.com'}]}",
        ])
    func operations(text: String) throws {
        let line = text.replacing("TERMS", with: terms)
        let found = try found("openapi: 3.1.0\npaths:\n  /a:\n    \(line)\n")
        #expect(Set(found.map(\.line)) == [4])
    }

    @Test("A path parameter must be described, required, and of a type that can be checked")
    func pathParameters() throws {
        for parameters in [
            "[]", "[{name: x, in: query}]", "[{name: x, in: path, schema: {type: integer}}]",
            "[{name: x, in: path, required: true}]", "[{name: x, in: path, required: true, schema: {$ref: '#/x'}}]",
            "[{name: x, in: path, required: true, schema: {type: boolean}}]",
            "[{name: x, in: path, required: true, schema: {type: string, format: date}}]",
        ] {
            let text = """
                openapi: 3.1.0
                paths:
                  /a/{x}:
                    get: {operationId: a, x-drawbridge: \(terms), parameters: \(parameters)}
                """
            #expect(Set(try found(text).map(\.line)) == [4], "\(parameters)")
        }
    }

    @Test("What an operation says of a parameter goes over what its path says")
    func override() throws {
        let text = """
            openapi: 3.1.0
            paths:
              /a/{x}:
                parameters: [{name: x, in: path, required: true, schema: {type: string}}]
                get:
                  operationId: a
                  parameters: [{name: x, in: path, required: true, schema: {type: integer}}]
                  x-drawbridge: \(terms)
            """
        let table = try RouteTable.load(directory.write(text, to: "openapi.yaml"))
        #expect(table.routes.first?.pathParameters == [Route.PathParameter(name: "x", type: .integer)])
    }

    @Test("References that lead round in a circle are a mistake")
    func circle() throws {
        let text = """
            openapi: 3.1.0
            paths:
              /a:
                get: {operationId: a, x-drawbridge: \(terms), parameters: [{$ref: "#/components/parameters/p"}]}
            components: {parameters: {p: {$ref: "#/components/parameters/p"}}}
            """
        #expect(try found(text).map(\.line) == [4, 5])
    }

    @Test("An operationId stands once")
    func operationIDs() throws {
        let text = """
            openapi: 3.1.0
            paths:
              /a: {get: {operationId: a, x-drawbridge: \(terms)}}
              /b: {get: {operationId: a, x-drawbridge: \(terms)}}
            """
        #expect(try found(text).map(\.line) == [4])
    }

    @Test("Another version of OpenAPI is refused", arguments: ["3.0.3", "2.0", "3.10.0", "3.1"])
    func version(text: String) throws {
        #expect(try found("openapi: \(text)\npaths: {}").map(\.key) == ["openapi"])
    }
}
