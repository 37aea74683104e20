public import HTTP

/// Everything the gateway lets through, compiled from `Policies/openapi.yaml`.
///
/// A path is compared as it was sent, byte by byte and segment by segment, and never decoded: a path with a percent
/// sign, an empty segment or a dot segment matches nothing, so gateway and bridge cannot read it differently. Fixed
/// segments win over parameters (OpenAPI 3.1, Path Templating).
public struct RouteTable: Sendable {
    /// All routes in the order of the description.
    public let routes: [Route]

    private let trie: RouteTrie

    init(routes: [Route], trie: RouteTrie) {
        self.routes = routes
        self.trie = trie
    }

    /// The route for a method and a path without its query.
    ///
    /// - Parameter path: the path exactly as received, starting with a slash.
    public func match(_ method: Method, path: Span<UInt8>) -> RouteLookup {
        var parameters = RouteMatch.Ranges(repeating: 0..<0)
        guard let endpoint = trie.endpoint(of: path, parameters: &parameters) else { return .notFound }
        guard let route = endpoint.route(for: method) else { return .methodNotAllowed(allowed: endpoint.allowed) }
        return .route(RouteMatch(route: route, ranges: parameters))
    }

    /// The route for a method and a path without its query.
    public func match(_ method: Method, path: String) -> RouteLookup { match(method, path: path.utf8.span) }
}

/// What the table says about a method and a path.
public enum RouteLookup: Sendable {
    /// Described.
    case route(RouteMatch)
    /// The path is described, for these methods only (405 with `Allow`).
    case methodNotAllowed(allowed: [Method])
    /// The path is not described (404).
    case notFound
}

/// A route and where in the path its parameters stand.
public struct RouteMatch: Sendable {
    public typealias Ranges = [4 of Range<Int>]

    /// The route.
    public let route: Route
    let ranges: Ranges

    /// Where in the matched path a parameter's value stands.
    public func range(of parameter: String) -> Range<Int>? {
        guard let index = route.pathParameters.firstIndex(where: { $0.name == parameter }) else { return nil }
        return ranges[index]
    }

    /// Where in the matched path values stand by which nothing but an id can be said: a number or a UUID. Empty for others.
    public var ids: Ranges {
        var ids = Ranges(repeating: 0..<0)
        for (index, parameter) in route.pathParameters.enumerated() where parameter.type != .text {
            ids[index] = ranges[index]
        }
        return ids
    }

    /// A parameter's value, given the path that was matched.
    public func value(of parameter: String, in path: Span<UInt8>) -> String? {
        guard let range = range(of: parameter) else { return nil }
        return path.extracting(range).withUnsafeBufferPointer { String(decoding: $0, as: UTF8.self) }
    }

    /// The value of a parameter described as an integer, given the path that was matched.
    public func integer(_ parameter: String, in path: Span<UInt8>) -> Int? {
        guard let range = range(of: parameter), path.extracting(range).allSatisfy({ $0.isDigit }) else { return nil }
        // Ten digits at most, so it cannot overflow.
        var number = 0
        for index in range { number = number * 10 + Int(path[index] & 15) }
        return number
    }
}
