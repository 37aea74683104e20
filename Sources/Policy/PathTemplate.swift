/// A path template of the description, such as `/hotels/{hotel_id}`, taken apart.
struct PathTemplate: Sendable {
    enum Segment: Sendable, Equatable {
        case fixed(String)
        case parameter(Route.PathParameter)
    }

    let text: String
    let segments: [Segment]

    var parameters: [Route.PathParameter] {
        segments.compactMap { if case .parameter(let parameter) = $0 { parameter } else { nil } }
    }

    /// The names between braces, in order; `nil` where the text is no template: it starts with a slash, and every
    /// segment is either of unreserved characters or one parameter as a whole.
    static func parameterNames(in text: String) -> [String]? {
        guard let segments = split(text) else { return nil }
        return segments.compactMap { if case .parameter(let name) = $0 { name } else { nil } }
    }

    /// Takes a template apart, given the type of each of its parameters.
    init?(_ text: String, types: [String: PathParameterType]) {
        guard let words = Self.split(text) else { return nil }
        var segments: [Segment] = []
        for word in words {
            switch word {
            case .fixed(let label): segments.append(.fixed(label))
            case .parameter(let name):
                guard let type = types[name] else { return nil }
                segments.append(.parameter(Route.PathParameter(name: name, type: type)))
            }
        }
        self.text = text
        self.segments = segments
    }

    /// Whether one path could match both templates without either being the more specific everywhere.
    ///
    /// `/hotels/{id}` and `/hotels/nearby` are fine, the second is the more specific; `/{kind}/new` and `/hotels/{id}`
    /// both match `/hotels/new`, and no reader could say which is meant.
    func isAmbiguous(with other: PathTemplate) -> Bool {
        guard segments.count == other.segments.count else { return false }
        var isNarrowerSomewhere = false
        var isWiderSomewhere = false
        for (own, others) in zip(segments, other.segments) {
            guard own.overlaps(others) else { return false }
            if own.width < others.width { isNarrowerSomewhere = true }
            if own.width > others.width { isWiderSomewhere = true }
        }
        return isNarrowerSomewhere == isWiderSomewhere
    }

    private enum Word {
        case fixed(String)
        case parameter(String)
    }

    private static func split(_ text: String) -> [Word]? {
        guard text.hasPrefix("/") else { return nil }
        var words: [Word] = []
        for segment in text.dropFirst().split(separator: "/", omittingEmptySubsequences: false) {
            if segment.hasPrefix("{"), segment.hasSuffix("}") {
                let name = String(segment.dropFirst().dropLast())
                guard PathParameterType.text.matches(name.utf8.span) else { return nil }
                words.append(.parameter(name))
            } else {
                let label = String(segment)
                guard PathParameterType.text.matches(label.utf8.span) else { return nil }
                words.append(.fixed(label))
            }
        }
        return words
    }
}

extension PathTemplate.Segment {
    /// How much a segment takes in: a fixed one least, free text most.
    fileprivate var width: Int {
        switch self {
        case .fixed: 0
        case .parameter(let parameter): parameter.type == .text ? 2 : 1
        }
    }

    fileprivate func overlaps(_ other: PathTemplate.Segment) -> Bool {
        switch (self, other) {
        case (.fixed(let own), .fixed(let others)): own == others
        case (.fixed(let label), .parameter(let parameter)), (.parameter(let parameter), .fixed(let label)):
            parameter.type.matches(label.utf8.span)
        // Whatever their types: OpenAPI takes templates that differ in parameters only for one and the same.
        case (.parameter, .parameter): true
        }
    }
}
