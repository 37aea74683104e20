internal import CLibYAML

/// Reads one YAML document with libyaml into nodes that know their place.
///
/// Policies are data, so what makes YAML more than data is refused: anchors and aliases (which can also blow a small
/// file up to gigabytes), tags, several documents, keys that are not texts, the same key twice.
struct YAMLParser: ~Copyable {
    /// How deep lists and mappings may nest.
    static let maximumDepth = 64

    private var parser: UnsafeMutablePointer<yaml_parser_t>
    private let log: MistakeLog

    /// The document in `bytes`; `nil` where there is none fit to read, which the log then says.
    static func document(_ bytes: [UInt8], log: MistakeLog) -> YAMLNode? {
        bytes.withUnsafeBufferPointer { buffer -> YAMLNode? in
            var parser = YAMLParser(reading: buffer, log: log)
            do throws(Refusal) { return try parser.document() } catch {
                log.record(at: error.mark, key: "", found: error.found, expected: error.expected)
                return nil
            }
        }
    }

    /// `bytes` must outlive the parser.
    private init(reading bytes: UnsafeBufferPointer<UInt8>, log: MistakeLog) {
        self.log = log
        parser = .allocate(capacity: 1)
        guard yaml_parser_initialize(parser) == 1 else { fatalError("out of memory") }
        yaml_parser_set_encoding(parser, YAML_UTF8_ENCODING)
        yaml_parser_set_input_string(parser, bytes.baseAddress, bytes.count)
    }

    deinit {
        yaml_parser_delete(parser)
        parser.deallocate()
    }

    /// A mistake of form, after which reading on is pointless.
    private struct Refusal: Error {
        let mark: Mark
        let found: String
        let expected: String
    }

    /// What libyaml reports, copied out of its memory.
    private enum Event {
        case streamStart, streamEnd, documentStart, documentEnd
        case scalar(String, isPlain: Bool)
        case sequenceStart, sequenceEnd, mappingStart, mappingEnd
    }

    private mutating func document() throws(Refusal) -> YAMLNode? {
        _ = try next()
        let start = try next()
        guard case .documentStart = start.event else { return nil }
        let node = try node(try next(), depth: 0)
        _ = try next()
        let end = try next()
        guard case .streamEnd = end.event else {
            throw Refusal(mark: end.mark, found: "a second document", expected: "one document per file")
        }
        return node
    }

    private mutating func node(_ first: (event: Event, mark: Mark), depth: Int) throws(Refusal) -> YAMLNode {
        guard depth < Self.maximumDepth else {
            throw Refusal(
                mark: first.mark, found: "deeper nesting", expected: "at most \(Self.maximumDepth) levels")
        }
        switch first.event {
        case .scalar(let text, let isPlain):
            return YAMLNode(value: .scalar(text, isPlain: isPlain), mark: first.mark)
        case .sequenceStart: return YAMLNode(value: .sequence(try elements(depth: depth)), mark: first.mark)
        case .mappingStart: return YAMLNode(value: .mapping(try entries(depth: depth)), mark: first.mark)
        default: throw Refusal(mark: first.mark, found: "the end", expected: "a value")
        }
    }

    private mutating func elements(depth: Int) throws(Refusal) -> [YAMLNode] {
        var elements: [YAMLNode] = []
        while true {
            let event = try next()
            if case .sequenceEnd = event.event { return elements }
            elements.append(try node(event, depth: depth + 1))
        }
    }

    private mutating func entries(depth: Int) throws(Refusal) -> [YAMLNode.Entry] {
        var entries: [YAMLNode.Entry] = []
        var keys: [String: Mark] = [:]
        while true {
            let event = try next()
            if case .mappingEnd = event.event { return entries }
            guard case .scalar(let key, _) = event.event else {
                throw Refusal(mark: event.mark, found: "a key that is not a text", expected: "a text as key")
            }
            let value = try node(try next(), depth: depth + 1)
            if let earlier = keys.updateValue(event.mark, forKey: key) {
                log.record(
                    at: event.mark, key: key, found: "the key a second time",
                    expected: "each key once (it stands in line \(earlier.line) already)")
            } else {
                entries.append(YAMLNode.Entry(key: key, keyMark: event.mark, value: value))
            }
        }
    }

    private mutating func next() throws(Refusal) -> (event: Event, mark: Mark) {
        var event = yaml_event_t()
        guard yaml_parser_parse(parser, &event) == 1 else { throw syntaxRefusal }
        defer { yaml_event_delete(&event) }
        let mark = Mark(event.start_mark)
        switch event.type {
        case YAML_STREAM_START_EVENT: return (.streamStart, mark)
        case YAML_STREAM_END_EVENT: return (.streamEnd, mark)
        case YAML_DOCUMENT_START_EVENT: return (.documentStart, mark)
        case YAML_DOCUMENT_END_EVENT: return (.documentEnd, mark)
        case YAML_SEQUENCE_END_EVENT: return (.sequenceEnd, mark)
        case YAML_MAPPING_END_EVENT: return (.mappingEnd, mark)
        case YAML_SCALAR_EVENT:
            let scalar = event.data.scalar
            try refuse(anchor: scalar.anchor, tag: scalar.tag, at: mark)
            let text = String(decoding: UnsafeBufferPointer(start: scalar.value, count: scalar.length), as: UTF8.self)
            return (.scalar(text, isPlain: scalar.style == YAML_PLAIN_SCALAR_STYLE), mark)
        case YAML_SEQUENCE_START_EVENT:
            try refuse(anchor: event.data.sequence_start.anchor, tag: event.data.sequence_start.tag, at: mark)
            return (.sequenceStart, mark)
        case YAML_MAPPING_START_EVENT:
            try refuse(anchor: event.data.mapping_start.anchor, tag: event.data.mapping_start.tag, at: mark)
            return (.mappingStart, mark)
        default:
            throw Refusal(mark: mark, found: "an alias", expected: "values written out")
        }
    }

    private func refuse(
        anchor: UnsafeMutablePointer<UInt8>?, tag: UnsafeMutablePointer<UInt8>?, at mark: Mark
    ) throws(Refusal) {
        guard anchor == nil else { throw Refusal(mark: mark, found: "an anchor", expected: "values written out") }
        guard tag == nil else { throw Refusal(mark: mark, found: "a tag", expected: "values without tags") }
    }

    private var syntaxRefusal: Refusal {
        let problem = parser.pointee.problem.map { String(cString: $0) } ?? "unreadable text"
        // The reader counts bytes and knows no line for an encoding error; the scanner and parser know both.
        let mark = parser.pointee.error == YAML_READER_ERROR ? Mark.file : Mark(parser.pointee.problem_mark)
        return Refusal(mark: mark, found: "text that is not YAML (\(problem))", expected: "YAML")
    }
}

extension Mark {
    fileprivate init(_ mark: yaml_mark_t) { self.init(line: Int(mark.line) + 1, column: Int(mark.column) + 1) }
}
