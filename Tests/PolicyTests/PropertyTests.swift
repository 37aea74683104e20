import HTTP
import TestSupport
import Testing

@testable import Policy

@Suite("Whatever the input")
struct PropertyTests {
    @Test("The table finds what comparing every template one by one finds")
    func routeTableAgainstReference() throws {
        var random = SeededNumbers(seed: 1)
        for _ in 0..<300 {
            let templates = Self.templates(using: &random)
            let routes = templates.enumerated().map { number, template in
                Route(
                    operationID: "op\(number)", template: template.text, method: .get,
                    pathParameters: template.parameters,
                    terms: Route.Terms(
                        authentication: [], scopes: [], hotel: .none, bodyLimit: .bytes(0), takesJSON: false,
                        timeout: nil, isForwarded: true))
            }
            let table = RouteTable(
                routes: routes, trie: RouteTrie(zip(templates, routes).map { (template: $0, routes: [$1]) }))
            for _ in 0..<30 {
                let path = Self.path(using: &random)
                #expect(Self.found(table, path) == Self.reference(templates, path), "\(path)")
            }
        }
    }

    @Test("Damaged policy files are refused with mistakes or read, and nothing else happens")
    func damagedFiles() throws {
        let directory = try TemporaryDirectory()
        var random = SeededNumbers(seed: 2)
        for name in PolicyDirectory.fileNames {
            let original = try PolicyFile.contents(of: TemporaryDirectory.repository + "/" + name, limit: 1 << 20).get()
            for _ in 0..<40 {
                var damaged = original
                for _ in 0..<Int.random(in: 1...8, using: &random) {
                    damaged[Int.random(in: damaged.indices, using: &random)] = "\n :{}[]-&*!'\"#x0".utf8.randomElement(
                        using: &random)!
                }
                let file = try directory.write(String(decoding: damaged, as: UTF8.self), to: name)
                for mistake in mistakes({ () throws(PolicyError) in try load(file, directory.path) }) {
                    #expect(!mistake.found.isEmpty && !mistake.expected.isEmpty)
                }
            }
        }
    }

    private func load(_ file: String, _ installation: String) throws(PolicyError) {
        if file.hasSuffix("openapi.yaml") { _ = try RouteTable.load(file) }
        if file.hasSuffix("gateway.yaml") { _ = try GatewayPolicy.load(file, installation: installation) }
        if file.hasSuffix("issuers.yaml") { _ = try IssuerPolicy.load(file, installation: installation) }
        if file.hasSuffix("bridge.yaml") { _ = try BridgePolicy.load(file) }
        if file.hasSuffix("rate-limits.yaml") { _ = try RateLimitPolicy.load(file, installation: installation) }
        if file.hasSuffix("addresses.yaml") { _ = try AddressPolicy.load(file) }
        if file.hasSuffix("egress.yaml") { _ = try EgressPolicy.load(file, installation: installation) }
        if file.hasSuffix("inbound.yaml") { _ = try InboundPolicy.load(file, installation: installation) }
        if file.hasSuffix("firewall.yaml") { _ = try InspectionPolicy.load(file) }
        if file.hasSuffix("keys.yaml") { _ = try KeyPolicy.load(file, installation: installation) }
    }

    private static func templates(using random: inout SeededNumbers) -> [PathTemplate] {
        let types: [String: PathParameterType] = ["i": .integer, "t": .text, "j": .integer, "u": .text]
        var templates: [PathTemplate] = []
        for _ in 0..<8 {
            var names = ["{i}", "{t}", "{j}", "{u}"].shuffled(using: &random)
            let segments = (0..<Int.random(in: 1...4, using: &random)).map { _ in
                Bool.random(using: &random) ? ["a", "b", "7"].randomElement(using: &random)! : names.removeLast()
            }
            guard let template = PathTemplate("/" + segments.joined(separator: "/"), types: types) else { continue }
            if !templates.contains(where: { template.isAmbiguous(with: $0) }) { templates.append(template) }
        }
        return templates
    }

    private static func path(using random: inout SeededNumbers) -> String {
        let words = ["a", "b", "7", "7", "a", "12", "c", "", ".", "..", "%61"]
        return (0..<Int.random(in: 1...4, using: &random)).map { _ in "/" + words.randomElement(using: &random)! }
            .joined()
    }

    private static func found(_ table: RouteTable, _ path: String) -> String? {
        guard case .route(let match) = table.match(.get, path: path) else { return nil }
        return match.route.template
    }

    /// The narrowest of the templates that match; without ambiguity there is exactly one.
    private static func reference(_ templates: [PathTemplate], _ path: String) -> String? {
        let words = path.dropFirst().split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        let matching = templates.filter { template in
            template.segments.count == words.count
                && zip(template.segments, words).allSatisfy { segment, word in
                    switch segment {
                    case .fixed(let label): label == word
                    case .parameter(let parameter): parameter.type.matches(word.utf8.span)
                    }
                }
        }
        return matching.min { width($0) < width($1) }?.text
    }

    private static func width(_ template: PathTemplate) -> Int {
        template.segments.reduce(0) { sum, segment in
            switch segment {
            case .fixed: sum
            case .parameter(let parameter): sum + (parameter.type == .text ? 2 : 1)
            }
        }
    }
}
