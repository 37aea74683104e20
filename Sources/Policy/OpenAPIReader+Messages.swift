internal import Schema

/// What the description says of messages. Requests are checked by it; of answers only that it is well-formed, because a
/// slip of the pen there would mislead clients.
extension OpenAPIReader {
    private static let parameterKeys: Set<String> = [
        "name", "in", "description", "required", "deprecated", "schema", "example", "examples",
    ]
    private static let bodyKeys: Set<String> = ["description", "content", "required"]
    private static let mediaTypeKeys: Set<String> = ["schema", "example", "examples"]
    private static let responseKeys: Set<String> = ["description", "headers", "content", "links"]
    private static let headerKeys: Set<String> = ["description", "required", "deprecated", "schema", "example"]
    private static let rootKeys: Set<String> = [
        "openapi", "info", "servers", "paths", "components", "security", "tags", "externalDocs",
    ]
    private static let componentKeys: Set<String> = [
        "schemas", "parameters", "headers", "responses", "requestBodies", "securitySchemes", "examples",
    ]
    /// Fields whose description as parameters means nothing (OpenAPI 3.1, Parameter Object).
    private static let otherwiseDescribedFields: Set<String> = ["accept", "content-type", "authorization"]
    static let json = "application/json"

    func refuseKeys(of node: PolicyNode, except known: Set<String>) {
        guard case .mapping(let entries) = node.node.value else { return }
        for entry in entries where !known.contains(entry.key) && entry.key != "$ref" {
            node.log.recordOnce(
                at: entry.keyMark, key: node.path(to: entry.key), found: "an unknown key",
                expected: "one of \(known.sorted().joined(separator: ", "))")
        }
    }

    // MARK: Requests

    /// Reads a parameter; `nil` where it has mistakes that leave nothing to check by.
    func parameter(_ node: PolicyNode) -> OpenAPIParameter? {
        guard let node = resolve(node) else { return nil }
        guard let name = child(of: node, "name")?.text(),
            let location = child(of: node, "in")?.choice(OpenAPIParameter.Location.self)
        else {
            node.refuse(expected: "a parameter with name and in")
            return nil
        }
        refuseKeys(of: node, except: Self.parameterKeys)
        let isRequired = child(of: node, "required")?.truth() ?? false
        if location == .path, !isRequired {
            node.refuse(expected: "required: true, as for every path parameter", found: "an optional path parameter")
        }
        if location == .header, Self.otherwiseDescribedFields.contains(name.lowercased()) {
            node.refuse(expected: "a field that is not described by other means", found: name)
        }
        guard let schema = child(of: node, "schema") else {
            node.refuse(expected: "a parameter's schema", found: "none")
            return nil
        }
        let compiled = schemas.compile(schema)
        if let compiled, compiled.takesArray, location != .query {
            schema.refuse(expected: "a single value, because only query parameters may be repeated", found: "an array")
        }
        return OpenAPIParameter(
            location: location, name: name, type: location == .path ? resolve(schema).flatMap(pathParameterType) : nil,
            parameter: compiled.map { Parameter(name: name, isRequired: isRequired, schema: $0) })
    }

    private func pathParameterType(_ schema: PolicyNode) -> PathParameterType? {
        switch (schema.node["type"]?.found, schema.node["format"]?.found) {
        case ("integer", _): return .integer
        case ("string", "uuid"): return .uuid
        case ("string", nil): return .text
        default:
            schema.refuse(expected: "type integer, or string without format or with format uuid")
            return nil
        }
    }

    /// Everything that is described of an operation's requests.
    func request(_ template: PathTemplate, _ parameters: [OpenAPIParameter], body: PolicyNode?)
        -> Route.RequestDescription
    {
        var request = Route.RequestDescription()
        func described(_ location: OpenAPIParameter.Location) -> [Parameter] {
            var names: Set<String> = []
            // What an operation says stands before what its path says.
            return parameters.filter { $0.location == location && names.insert($0.name).inserted }
                .compactMap(\.parameter)
        }
        let path = described(.path)
        request.path = template.parameters.compactMap { own in path.first { $0.name == own.name } }
        request.query = QueryParameters(described(.query))
        request.fields = described(.header)
        guard let body = body.flatMap(resolve) else { return request }
        refuseKeys(of: body, except: Self.bodyKeys)
        request.isContentRequired = child(of: body, "required")?.truth() ?? false
        for (type, media) in child(of: body, "content")?.entries() ?? [] {
            if type != Self.json {
                media.refuse(expected: "\(Self.json), the only content that is checked", found: type)
            }
            request.content = readMediaType(media)
        }
        return request
    }

    @discardableResult
    private func readMediaType(_ media: PolicyNode) -> Schema? {
        refuseKeys(of: media, except: Self.mediaTypeKeys)
        guard let schema = child(of: media, "schema") else {
            media.refuse(expected: "the content's schema", found: "none")
            return nil
        }
        return schemas.compile(schema)
    }

    // MARK: Answers and the rest

    /// Looks at an operation's answers.
    func checkResponses(_ operation: PolicyNode) {
        for (status, response) in child(of: operation, "responses")?.entries() ?? [] {
            let isStatus =
                status == "default" || (status.utf8.count == 3 && (Int(status).map { 100...599 ~= $0 } ?? false))
            if !isStatus { response.refuse(expected: "a status from 100 to 599, or default", found: status) }
            checkResponse(response)
        }
    }

    private func checkResponse(_ node: PolicyNode) {
        guard let response = resolve(node) else { return }
        refuseKeys(of: response, except: Self.responseKeys)
        for (_, header) in child(of: response, "headers")?.entries() ?? [] { checkHeader(header) }
        for (_, media) in child(of: response, "content")?.entries() ?? [] { readMediaType(media) }
    }

    private func checkHeader(_ node: PolicyNode) {
        guard let header = resolve(node) else { return }
        refuseKeys(of: header, except: Self.headerKeys)
        if let schema = child(of: header, "schema") { _ = schemas.compile(schema) }
    }

    /// Looks at the file's top and at the components, whether they are used or not.
    func checkComponents() {
        refuseKeys(of: root, except: Self.rootKeys)
        guard let components = child(of: root, "components") else { return }
        refuseKeys(of: components, except: Self.componentKeys)
        for (_, schema) in child(of: components, "schemas")?.entries() ?? [] { _ = schemas.compile(schema) }
        for (_, node) in child(of: components, "parameters")?.entries() ?? [] { _ = parameter(node) }
        for (_, header) in child(of: components, "headers")?.entries() ?? [] { checkHeader(header) }
        for (_, response) in child(of: components, "responses")?.entries() ?? [] { checkResponse(response) }
    }
}

/// A parameter as it is described.
struct OpenAPIParameter {
    enum Location: String, CaseIterable {
        case path, query, header
    }

    let location: Location
    let name: String
    /// For path parameters.
    let type: PathParameterType?
    /// What its value must be; `nil` where the schema has mistakes.
    let parameter: Parameter?
}
