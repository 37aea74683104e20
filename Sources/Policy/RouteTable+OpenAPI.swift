internal import Authentication
internal import HTTP

extension RouteTable {
    /// Reads and compiles `openapi.yaml`.
    ///
    /// - Parameters:
    ///   - file: the policy file.
    ///   - rateClasses: those that routes may name; `nil` leaves that unchecked.
    ///   - operations: those that can be forwarded; `nil` leaves that unchecked.
    /// - Throws: every mistake in the file at once.
    public static func load(
        _ file: String, rateClasses: [String]? = nil, operations: [String]? = nil
    ) throws(PolicyError) -> RouteTable {
        try PolicyFile.load(file) { root in
            OpenAPIReader(root, rateClasses: rateClasses, operations: operations).routeTable()
        }
    }
}

/// Reads from an OpenAPI 3.1 description what the gateway routes and checks requests by.
///
/// Every key must be one OpenAPI knows, so that a slip of the pen is not taken for an extension.
struct OpenAPIReader {
    private static let pathItemKeys = ["summary", "description", "parameters"]
    private static let operationKeys = [
        "tags", "summary", "description", "externalDocs", "operationId", "parameters", "requestBody", "responses",
        "deprecated", "security",
    ]
    private static let maximumReferences = 8

    let root: PolicyNode
    let schemas: OpenAPISchemas

    /// The classes of limits that routes may name; `nil` leaves that unchecked.
    private let rateClasses: [String]?
    /// The operations that can be forwarded; `nil` leaves that unchecked.
    private let operations: [String]?

    init(_ root: PolicyNode, rateClasses: [String]? = nil, operations: [String]? = nil) {
        self.root = root
        self.rateClasses = rateClasses
        self.operations = operations
        schemas = OpenAPISchemas(root)
    }

    /// The table; `nil` or incomplete where mistakes were recorded.
    func routeTable() -> RouteTable? {
        let version = root.node["openapi"]
        if case .scalar(let text, _)? = version?.value, text.hasPrefix("3.1.") {
        } else {
            root.log.record(
                at: version?.mark ?? root.node.mark, key: "openapi", found: version?.found ?? "nothing",
                expected: "version 3.1.x")
        }
        guard let paths = child(of: root, "paths") else {
            root.log.record(at: root.node.mark, key: "paths", found: "nothing", expected: "the described paths")
            return nil
        }
        checkComponents()
        var templates: [(template: PathTemplate, routes: [Route])] = []
        var operationIDs: Set<String> = []
        for (path, item) in paths.entries() {
            guard let (template, routes) = readPath(path, item) else { continue }
            refuseAmbiguity(of: template, at: item, with: templates.map(\.template))
            for route in routes where !operationIDs.insert(route.operationID).inserted {
                item.refuse(expected: "each operationId once", found: "\(route.operationID) a second time")
            }
            templates.append((template, routes))
        }
        return RouteTable(routes: templates.flatMap(\.routes), trie: RouteTrie(templates))
    }

    private func refuseAmbiguity(of template: PathTemplate, at item: PolicyNode, with others: [PathTemplate]) {
        for other in others where template.isAmbiguous(with: other) {
            item.refuse(
                expected: "templates of which every path matches one best",
                found: "a path that also matches \(other.text)")
        }
    }

    private func readPath(_ path: String, _ item: PolicyNode) -> (PathTemplate, [Route])? {
        guard let names = PathTemplate.parameterNames(in: path), Set(names).count == names.count,
            names.count <= Route.maximumPathParameters
        else {
            item.refuse(
                expected: "segments of unreserved characters or one {parameter} each, of different names, at most "
                    + "\(Route.maximumPathParameters)", found: path)
            return nil
        }
        let shared = child(of: item, "parameters")?.elements() ?? []
        var types: [String: PathParameterType] = [:]
        var operations: [(Method, PolicyNode, [OpenAPIParameter])] = []
        for (key, operation) in item.entries() where !Self.pathItemKeys.contains(key) {
            guard let method = Method(rawValue: key.uppercased()), key == key.lowercased(), method != .head else {
                operation.refuse(expected: "a method in lower case other than head", found: "the key \(key)")
                continue
            }
            let own = child(of: operation, "parameters")?.elements() ?? []
            // What an operation says of a parameter goes over what its path says.
            let parameters = (own + shared).compactMap(parameter)
            refuseUndescribed(names, in: parameters, at: operation, &types)
            operations.append((method, operation, parameters))
        }
        guard let template = PathTemplate(path, types: types) else { return nil }
        return (template, operations.compactMap { route($0.0, $0.1, template: template, parameters: $0.2) })
    }

    /// Notes the type of each path parameter; one that is not described, or differently by two methods, is a mistake.
    private func refuseUndescribed(
        _ names: [String], in parameters: [OpenAPIParameter], at operation: PolicyNode,
        _ types: inout [String: PathParameterType]
    ) {
        for name in names {
            guard let parameter = parameters.first(where: { $0.location == .path && $0.name == name }) else {
                operation.refuse(expected: "a description of the path parameter \(name)", found: "none")
                continue
            }
            if let type = parameter.type, types.updateValue(type, forKey: name) ?? type != type {
                operation.refuse(expected: "one type of \(name) for all methods", found: "another")
            }
        }
        for parameter in parameters where parameter.location == .path && !names.contains(parameter.name) {
            operation.refuse(expected: "path parameters of the template only", found: "one named \(parameter.name)")
        }
    }

    private func route(
        _ method: Method, _ operation: PolicyNode, template: PathTemplate, parameters: [OpenAPIParameter]
    ) -> Route? {
        for (key, value) in operation.entries() where !Self.operationKeys.contains(key) && key != "x-drawbridge" {
            value.refuse(expected: "a key of an OpenAPI operation, or x-drawbridge", found: "the key \(key)")
        }
        let body = child(of: operation, "requestBody")
        let takesJSON = body.flatMap(resolve)?.node["content"]?[Self.json] != nil
        let request = request(template, parameters, body: body)
        checkResponses(operation)
        let name = child(of: operation, "operationId")
        guard let name, let operationID = name.text() else {
            operation.refuse(expected: "an operationId", found: "none")
            return nil
        }
        guard let terms = child(of: operation, "x-drawbridge") else {
            operation.refuse(expected: "x-drawbridge, which says who may call it", found: "none")
            return nil
        }
        let reader = RouteTermsReader(
            template: template, parameters: parameters, hasBody: body != nil, takesJSON: takesJSON,
            knownRateClasses: rateClasses)
        return terms.mapping { reader.terms($0) }.map {
            if $0.isForwarded { refuseUnimplemented(operationID, at: name) }
            return Route(
                operationID: operationID, template: template.text, method: method,
                pathParameters: template.parameters, terms: $0, request: request)
        }
    }

    private func refuseUnimplemented(_ operationID: String, at name: PolicyNode) {
        guard let operations, !operations.contains(operationID) else { return }
        name.refuse(
            expected: "an operation that the bridge implements (\(operations.joined(separator: ", "))), "
                + "or forward: false in x-drawbridge")
    }

    /// Follows `$ref` within the file.
    func resolve(_ node: PolicyNode) -> PolicyNode? {
        var current = node
        for _ in 0..<Self.maximumReferences {
            guard let reference = child(of: current, "$ref") else { return current }
            guard let target = target(of: reference) else { return nil }
            current = target
        }
        node.refuse(expected: "at most \(Self.maximumReferences) references in a row", found: "more")
        return nil
    }

    private func target(of reference: PolicyNode) -> PolicyNode? {
        guard let text = reference.text() else { return nil }
        guard text.hasPrefix("#/") else {
            reference.refuse(expected: "a reference within this file (#/…)")
            return nil
        }
        var current = root
        for key in text.dropFirst(2).split(separator: "/", omittingEmptySubsequences: false) {
            let key = key.replacing("~1", with: "/").replacing("~0", with: "~")
            guard let next = child(of: current, String(key)) else {
                reference.refuse(expected: "a reference to something that exists")
                return nil
            }
            current = next
        }
        return current
    }

    func child(of node: PolicyNode, _ key: String) -> PolicyNode? {
        node.node[key].map { PolicyNode($0, path: node.path(to: key), log: node.log) }
    }
}
