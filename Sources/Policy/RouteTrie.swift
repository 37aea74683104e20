internal import HTTP

/// The tree of path segments, laid out flat: looking a path up allocates nothing and follows no references.
struct RouteTrie: Sendable {
    /// What one template leads to.
    final class Endpoint: Sendable {
        let allowed: [Method]
        private let routes: [Route]

        init(_ routes: [Route]) {
            let described = Set(routes.map(\.method))
            self.routes = routes
            allowed = Method.allCases.filter {
                described.contains($0) || ($0 == .head && described.contains(.get))
            }
        }

        func route(for method: Method) -> Route? {
            let described = method == .head ? .get : method
            return routes.first { $0.method == described }
        }
    }

    private struct Node {
        var firstEdge = 0
        var edgeCount = 0
        var firstParameter = 0
        var parameterCount = 0
        var endpoint: Int?
    }

    /// A fixed segment: its text in ``labels`` and the node behind it.
    private struct Edge {
        let labelStart: Int
        let labelCount: Int
        let target: Int
    }

    private struct ParameterEdge {
        let type: PathParameterType
        let target: Int
    }

    private var nodes: [Node] = []
    private var edges: [Edge] = []
    private var parameterEdges: [ParameterEdge] = []
    private var labels: [UInt8] = []
    private var endpoints: [Endpoint] = []

    /// Lays out the routes of unambiguous templates.
    init(_ templates: [(template: PathTemplate, routes: [Route])]) {
        let root = Branch()
        for (template, routes) in templates { root.insert(template.segments[...], routes: routes) }
        _ = layOut(root)
    }

    /// The endpoint a path leads to; the parameters' places in the path are written to `parameters` in order.
    func endpoint(of path: Span<UInt8>, parameters: inout RouteMatch.Ranges) -> Endpoint? {
        guard !path.isEmpty, path[0] == UInt8(ascii: "/") else { return nil }
        return descend(from: 0, path, start: 1, depth: 0, &parameters).map { endpoints[$0] }
    }

    /// Tries fixed segments first and comes back for parameters; templates are few and short, which bounds the work.
    private func descend(
        from node: Int, _ path: Span<UInt8>, start: Int, depth: Int, _ parameters: inout RouteMatch.Ranges
    ) -> Int? {
        var end = start
        while end < path.count, path[end] != UInt8(ascii: "/") { end += 1 }
        let segment = path.extracting(start..<end)
        let node = nodes[node]
        if let target = edge(of: node, segment),
            let found = advance(to: target, path, end: end, depth: depth, &parameters)
        {
            return found
        }
        for index in node.firstParameter..<node.firstParameter + node.parameterCount {
            let edge = parameterEdges[index]
            guard edge.type.matches(segment) else { continue }
            parameters[depth] = start..<end
            if let found = advance(to: edge.target, path, end: end, depth: depth + 1, &parameters) { return found }
        }
        return nil
    }

    private func advance(
        to node: Int, _ path: Span<UInt8>, end: Int, depth: Int, _ parameters: inout RouteMatch.Ranges
    ) -> Int? {
        end == path.count
            ? nodes[node].endpoint : descend(from: node, path, start: end + 1, depth: depth, &parameters)
    }

    private func edge(of node: Node, _ segment: Span<UInt8>) -> Int? {
        for index in node.firstEdge..<node.firstEdge + node.edgeCount {
            let edge = edges[index]
            guard edge.labelCount == segment.count else { continue }
            var position = 0
            while position < edge.labelCount, labels[edge.labelStart + position] == segment[position] { position += 1 }
            if position == edge.labelCount { return edge.target }
        }
        return nil
    }
}

extension RouteTrie {
    /// The tree while it grows.
    private final class Branch {
        var fixed: [(label: String, branch: Branch)] = []
        var parameters: [(type: PathParameterType, branch: Branch)] = []
        var routes: [Route] = []

        func insert(_ segments: ArraySlice<PathTemplate.Segment>, routes: [Route]) {
            guard let first = segments.first else {
                self.routes = routes
                return
            }
            child(for: first).insert(segments.dropFirst(), routes: routes)
        }

        private func child(for segment: PathTemplate.Segment) -> Branch {
            switch segment {
            case .fixed(let label):
                if let known = fixed.first(where: { $0.label == label }) { return known.branch }
                fixed.append((label, Branch()))
                return fixed[fixed.count - 1].branch
            case .parameter(let parameter):
                if let known = parameters.first(where: { $0.type == parameter.type }) { return known.branch }
                let branch = Branch()
                parameters.append((parameter.type, branch))
                // The narrow types before the wide one.
                parameters.sort { $0.type != .text && $1.type == .text }
                return branch
            }
        }
    }

    /// Writes a branch and everything below it; answers with its node.
    private mutating func layOut(_ branch: Branch) -> Int {
        let index = nodes.count
        nodes.append(Node())
        if !branch.routes.isEmpty {
            nodes[index].endpoint = endpoints.count
            endpoints.append(Endpoint(branch.routes))
        }
        let fixedTargets = branch.fixed.map { layOut($0.branch) }
        let parameterTargets = branch.parameters.map { layOut($0.branch) }
        nodes[index].firstEdge = edges.count
        nodes[index].edgeCount = fixedTargets.count
        for ((label, _), target) in zip(branch.fixed, fixedTargets) {
            edges.append(Edge(labelStart: labels.count, labelCount: label.utf8.count, target: target))
            labels.append(contentsOf: label.utf8)
        }
        nodes[index].firstParameter = parameterEdges.count
        nodes[index].parameterCount = parameterTargets.count
        for ((type, _), target) in zip(branch.parameters, parameterTargets) {
            parameterEdges.append(ParameterEdge(type: type, target: target))
        }
        return index
    }
}
