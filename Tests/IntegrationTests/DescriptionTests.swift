import Authentication
import Glibc
import HTTP
import JSONText
import Loop
import Policy
import Testing

/// What holds for every operation of `openapi.yaml`, whatever is added to it: who has no business there is turned away, what
/// is not described is refused, and what is answered is what the description says.
@Suite("Every operation of the description")
struct DescriptionTests {
    init() { Loop.runInBackground() }

    /// An operation with a target that its path matches.
    struct Described: CustomTestStringConvertible, Sendable {
        let route: Route
        var testDescription: String { route.operationID }

        var terms: Route.Terms { route.terms }

        /// Hotel 1, or whatever it is that no hotel has.
        var target: String {
            let segments = route.template.split(separator: "/").map { segment -> String in
                guard segment.hasPrefix("{"),
                    let parameter = route.pathParameters.first(where: { "{\($0.name)}" == segment })
                else { return String(segment) }
                switch parameter.type {
                case .integer: return "1"
                case .uuid: return "00000000-0000-4000-8000-000000000000"
                case .text: return "x"
                }
            }
            return "/" + segments.joined(separator: "/")
        }

        /// A request that names hotel 1 where the operation wants it named, from whoever has this token or key.
        func request(_ credential: String?, query: String = "") -> TestRequest {
            var request = TestRequest(method: route.method.rawValue, target: target + query, token: credential)
            guard terms.takesJSON else { return request }
            request.fields.append(("Content-Type", "application/json"))
            var content = "{}"
            if case .body(let pointer) = terms.hotel { content = "{\"\(pointer.dropFirst())\":1}" }
            request.content = Array(content.utf8)
            return request
        }
    }

    /// A description that cannot be read gives none, which `all` sees.
    private static let operations =
        (try? RouteTable.load("\(Node.package)/Policies/openapi.yaml"))
        .map { $0.routes.map(Described.init) } ?? []
    private static let known = operations.filter { !$0.terms.authentication.contains(.anonymous) }
    private static let scoped = operations.filter { !$0.terms.scopes.isEmpty }
    private static let aboutHotels = operations.filter { $0.terms.hotel != .none }
    /// Those that clients call. Whoever sends us webhooks proves himself by what he sends, as `InboundWebhookTests` does.
    private static let ofClients = operations.filter { $0.terms.authentication != [.inbound] }
    private static let withContent = ofClients.filter { $0.terms.takesJSON }

    /// All rights, or all but one, in some hotels.
    @OnLoop private static func credential(
        _ node: Node, _ operation: Described, without scope: Scope? = nil, hotels: String = #""*""#
    ) throws -> String {
        guard operation.terms.authentication.contains(.jwt) else { return try node.variable("ADMIN_API_KEY") }
        return try node.token {
            $0.scopes = Scope.allCases.filter { $0 != scope }.map(\.rawValue).joined(separator: " ")
            $0.hotels = hotels
        }
    }

    @Test("All of them are looked at")
    func all() {
        #expect(Set(Self.operations.map(\.route.operationID)).isSuperset(of: Operation.names))
        #expect(Self.known.count > 20 && Self.scoped.count > 20)
        #expect(Self.aboutHotels.count > 5 && Self.withContent.count > 5)
    }

    @Test("Without credentials, and with false ones, it is 401", arguments: known)
    @OnLoop func anonymous(operation: Described) async throws {
        let node = try await Node.shared()
        let forged = try node.token { $0.keyID = "nobody" }
        for credential in [nil, "dbk_" + String(repeating: "A", count: 43), forged, "x"] {
            let answer = try await node.gateway.send(operation.request(credential))
            expectProblem(answer, 401)
            #expect(answer["WWW-Authenticate"]?.isEmpty == false)
        }
    }

    @Test("Without one of its scopes it is 403", arguments: scoped)
    @OnLoop func unscoped(operation: Described) async throws {
        let node = try await Node.shared()
        for scope in operation.terms.scopes.members {
            let credential = try Self.credential(node, operation, without: scope)
            expectProblem(try await node.gateway.send(operation.request(credential)), 403)
        }
    }

    @Test("At another's hotel it is 403", arguments: aboutHotels)
    @OnLoop func foreignHotel(operation: Described) async throws {
        let node = try await Node.shared()
        let credential = try Self.credential(node, operation, hotels: "[2,3]")
        expectProblem(try await node.gateway.send(operation.request(credential)), 403)
    }

    @Test("A parameter that is not described is 400", arguments: ofClients)
    @OnLoop func unknownParameter(operation: Described) async throws {
        let node = try await Node.shared()
        let credential = try Self.credential(node, operation)
        let answer = try await node.gateway.send(operation.request(credential, query: "?surprise=1"))
        expectProblem(answer, 400, "malformed-request")
        let places = answer.elements("errors").compactMap { $0["pointer"]?.string }
        #expect(places.contains("/query/surprise"), "\(answer.text)")
    }

    @Test("A body that is too large, or that is not described, is 413", arguments: ofClients)
    @OnLoop func tooLarge(operation: Described) async throws {
        let node = try await Node.shared()
        var request = operation.request(try Self.credential(node, operation))
        request.content = Array(repeating: UInt8(ascii: " "), count: Int(operation.terms.bodyLimit.bytes) + 1)
        expectProblem(try await node.gateway.send(request), 413)
    }

    @Test("Content of another type is 415, of another form 400 or 422", arguments: withContent)
    @OnLoop func wrongContent(operation: Described) async throws {
        let node = try await Node.shared()
        let credential = try Self.credential(node, operation)
        var request = operation.request(credential)
        request.fields = [("Content-Type", "text/plain")]
        expectProblem(try await node.gateway.send(request), 415)
        // No operation takes any of these; nor does one that names its hotel in its content.
        for content in ["[", "[]", "7", "\"x\"", "null", "{\"surprise\":1}", "{\"a\":1,\"a\":2}", "\u{FEFF}{}"] {
            request = operation.request(credential)
            request.content = Array(content.utf8)
            let answer = try await node.gateway.send(request)
            #expect(answer.status == 400 || answer.status == 422, "\(content): \(answer.text)")
            expectProblem(answer, answer.status)
        }
    }

    /// Schemathesis (https://schemathesis.io) makes requests of its own from the description, well and badly formed ones,
    /// and checks each answer against it: status, fields, content. The same ones each time, as a landing must not hang on
    /// luck; `SCHEMATHESIS_SEED` draws others.
    @Test("Another reader of the description finds it kept", .timeLimit(.minutes(5)))
    @OnLoop func schemathesis() async throws {
        let node = try Node(ownsPolicies: true, workers: 1)
        try node.liftLimits()
        try await node.start()
        let settings = "\(node.directory)/schemathesis.toml"
        // HTTP itself knows 501 for TRACE, which the description cannot say.
        Files.write(
            """
            [phases.coverage]
            unexpected-methods = ["DELETE", "GET", "OPTIONS", "PATCH", "POST", "PUT"]
            """, to: settings)
        let seed = getenv("SCHEMATHESIS_SEED").map { String(cString: $0) } ?? "1"
        let reader = try await Files.run(
            [
                // It leaves files where it runs.
                "-C", node.directory, "\(Node.package)/.build/python-tools/bin/st", "--config-file", settings, "run",
                "\(node.policies)/openapi.yaml", "--url", try node.variable("GATEWAY_URL"),
                "--tls-verify", "\(node.home)/tls/certificate.pem",
                "--header", "Authorization: Bearer \(try node.variable("ADMIN_API_KEY"))",
                "--phases", "coverage,fuzzing", "--max-examples", "10", "--seed", seed,
                // What is well formed may all the same be no stay that can be booked; and whoever refreshes a token may,
                // but need not, say who he is.
                "--checks", "all", "--exclude-checks", "positive_data_acceptance,ignored_auth",
                "--generation-database", "none", "--warnings", "off", "--no-color",
            ], patience: .seconds(240))
        #expect(reader.exit.isSuccess, "seed \(seed): \(reader.output.suffix(8000))")
        #expect(reader.output.contains("Tested: \(Self.operations.count)"), "\(reader.output.suffix(2000))")
        #expect(try await node.stop().isSuccess)
    }
}
