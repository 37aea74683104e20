internal import Authentication

/// Reads an operation's `x-drawbridge`.
struct RouteTermsReader {
    /// The word for routes whose hotel only the bridge can know, and for those that ask for no scope.
    private static let nowhere = "none"
    private static let defaultBodyLimit = ByteCount.kibibytes(64)

    let template: PathTemplate
    let parameters: [OpenAPIParameter]
    let hasBody: Bool
    let takesJSON: Bool
    /// The classes of limits that may be named; `nil` leaves that unchecked.
    let knownRateClasses: [String]?

    private enum Place: String, CaseIterable {
        case path, query, body
    }

    func terms(_ mapping: PolicyMapping) -> Route.Terms {
        let methods = mapping.required("auth", expected: "the accepted ways in")?.elements(atLeast: 1) ?? []
        let scopeList = mapping.required("scopes", expected: "the scopes asked for, or none")
        let scopes = scopeList.map(scopeNodes) ?? []
        let authentication = methods.compactMap { $0.choice(Identity.Method.self) }
        if authentication.contains(.anonymous), !scopes.isEmpty {
            scopeList?.refuse(expected: "none, because whoever has proven nothing has no scopes")
        }
        if authentication.contains(.inbound),
            authentication.count > 1 || !template.parameters.contains(where: { $0.name == Route.sourceParameter })
        {
            mapping.optional("auth")?.refuse(
                expected: "inbound alone, on a path with a parameter \(Route.sourceParameter), which names who sends")
        }
        return Route.Terms(
            authentication: authentication, scopes: Scopes(scopes.compactMap { $0.choice(Scope.self) }),
            hotel: hotel(mapping),
            bodyLimit: bodyLimit(mapping), takesJSON: takesJSON,
            timeout: mapping.optional("timeout")?.duration(in: .milliseconds(10)...Duration.seconds(600)),
            isForwarded: mapping.truth("forward", default: true),
            audit: mapping.optional("audit")?.choice(Route.AuditDurability.self),
            inspection: mapping.optional("firewall").flatMap(InspectionPolicy.exception),
            rateClasses: rateClasses(mapping),
            passesCredentials: mapping.truth("pass_credentials", default: false))
    }

    /// A list, or the word that says that there is none: what was left out by mistake must not open a route.
    private func scopeNodes(_ node: PolicyNode) -> [PolicyNode] {
        if case .scalar(Self.nowhere, _) = node.node.value { return [] }
        return node.elements(atLeast: 1)
    }

    /// One name, or a list of them.
    private func rateClasses(_ mapping: PolicyMapping) -> [String] {
        guard let node = mapping.optional("rate_class") else { return [] }
        let nodes: [PolicyNode] = if case .scalar = node.node.value { [node] } else { node.elements(atLeast: 1) }
        return nodes.compactMap { node in
            guard let name = node.text("the name of a class in rate-limits.yaml") else { return nil }
            if let known = knownRateClasses, !known.contains(name) {
                let names = known.isEmpty ? "there is none" : known.joined(separator: ", ")
                node.refuse(expected: "a class of rate-limits.yaml that is not asked anyway (\(names))")
            }
            return name
        }
    }

    private func bodyLimit(_ mapping: PolicyMapping) -> ByteCount {
        guard let node = mapping.optional("body_limit") else { return hasBody ? Self.defaultBodyLimit : .bytes(0) }
        if !hasBody { node.refuse(expected: "no body limit, because no requestBody is described") }
        return node.byteCount(in: .bytes(1)...ByteCount.mebibytes(64)) ?? .bytes(0)
    }

    private func hotel(_ mapping: PolicyMapping) -> Route.HotelLocation {
        let expected = "none, or where the hotel id is: in, and name or pointer"
        guard let node = mapping.required("hotel", expected: expected) else { return .none }
        if case .scalar(Self.nowhere, _) = node.node.value { return .none }
        return node.mapping { location($0, at: node) } ?? .none
    }

    private func location(_ mapping: PolicyMapping, at node: PolicyNode) -> Route.HotelLocation? {
        let place = mapping.required("in", expected: "path, query or body")?.choice(Place.self)
        switch place {
        case .body:
            let pointer = mapping.text("pointer", expected: "a JSON pointer such as /hotel_id")
            if !pointer.hasPrefix("/") { node.refuse(expected: "a JSON pointer such as /hotel_id", found: pointer) }
            if !hasBody { node.refuse(expected: "a place in the path or query, because no requestBody is described") }
            return .body(pointer: pointer)
        case .path:
            let name = mapping.text("name", expected: "the path parameter")
            if !template.parameters.contains(where: { $0.name == name && $0.type == .integer }) {
                node.refuse(expected: "an integer parameter of the path", found: name)
            }
            return .path(parameter: name)
        case .query:
            let name = mapping.text("name", expected: "the query parameter")
            if !parameters.contains(where: { $0.name == name && $0.location == .query }) {
                node.refuse(expected: "a described query parameter", found: name)
            }
            return .query(parameter: name)
        case nil: return nil
        }
    }
}
