/// A compiled JSON Schema: the part of draft 2020-12, as OpenAPI 3.1 uses it, that Drawbridge's descriptions need.
///
/// Every keyword is either checked or an annotation; any other is a mistake when the schema is compiled. Checking takes
/// time in proportion to the text for schemas without choices, and never more than a fixed number of steps for others.
public struct Schema: Sendable {
    /// The most violations that are told: further ones help nobody and would make a small request a large answer.
    public static let maximumViolations = 20

    let rules: [SchemaRule]
    let root: Int
    /// The types a text outside of JSON, such as a parameter, may be taken for.
    private let textTypes: SchemaRule.Types
    /// The same for the elements of an array.
    private let elementTypes: SchemaRule.Types
    /// All that there is to check of a single value; nil where that takes a document.
    private var single: SingleRule?

    /// What most parameters are described as.
    private enum SingleRule {
        case string(Shared<StringRule>)
        case integer(ClosedRange<Int64>)
    }

    /// Compiles a schema.
    ///
    /// - Parameters:
    ///   - source: the schema.
    ///   - root: the file it stands in, where references are looked up.
    ///   - key: the keys that lead to it.
    /// - Throws: `SchemaError` with every mistake.
    public init(_ source: SchemaSource, in root: SchemaSource, key: String = "") throws(SchemaError) {
        let compiler = SchemaCompiler(root: root)
        self.root = compiler.compile(source, key: key)
        compiler.refuseEndlessRules(source, key: key)
        guard compiler.mistakes.isEmpty else { throw SchemaError(mistakes: compiler.mistakes) }
        rules = compiler.rules
        textTypes = Self.types(of: self.root, in: compiler.rules)
        elementTypes = Self.elementTypes(of: self.root, in: compiler.rules)
        single = nil
        single = Self.singleRule(resolved(self.root))
    }

    private static func singleRule(_ rule: SchemaRule) -> SingleRule? {
        switch rule.types {
        case _ where rule.hasMore: nil
        case .string: rule.string.map { .string($0) }
        case .integer: rule.number?.value.integers.map { .integer($0) }
        default: nil
        }
    }

    /// Checks a document.
    ///
    /// - Throws: `InvalidDocument` with what is wrong with it.
    public func validate(_ document: JSONDocument) throws(InvalidDocument) -> ValidDocument {
        try SchemaEvaluation.validate(document, by: self)
    }

    /// What is wrong with a document; nothing when it is valid.
    public func violations(in document: JSONDocument) -> [Violation] {
        do {
            _ = try validate(document)
            return []
        } catch {
            return error.violations
        }
    }

    /// Whether a parameter's single value, as it was sent, is right, as far as that shows without making a document of it: the
    /// usual value is, and then nothing is allocated for it. Of one that is not, `violations` tells what.
    func isPlainlyRight(_ text: ArraySlice<UInt8>) -> Bool {
        switch single {
        case .string(let rule): text.allSatisfy { $0 < 0x80 } && rule.value.mistake(in: text) == nil
        case .integer(let integers): Self.integer(text).map(integers.contains) ?? false
        case nil: false
        }
    }

    /// The integer that at most 18 digits say.
    private static func integer(_ text: ArraySlice<UInt8>) -> Int64? {
        guard 1...18 ~= text.count else { return nil }
        var value: Int64 = 0
        for byte in text {
            guard 0x30...0x39 ~= byte else { return nil }
            value = value * 10 + Int64(byte - 0x30)
        }
        return value
    }

    /// What is wrong with a parameter's values, which stand outside of JSON: `12` is an integer where one may stand,
    /// and a string where not.
    ///
    /// - Parameters:
    ///   - bytes: the text they stand in, valid UTF-8 where they are.
    ///   - values: where; several only where an array is described.
    ///   - literalCount: bytes up to which values stand as they were sent; one behind them was encoded, and is a
    ///     string.
    /// - Returns: violations with pointers that begin at the parameter.
    func violations(in bytes: [UInt8], values: [Range<Int>], literalCount: Int) -> [Violation] {
        var nodes: [JSONDocument.Node] = []
        if takesArray {
            nodes.append(
                JSONDocument.Node(
                    kind: .array, start: 0, end: 0, count: UInt32(values.count), next: UInt32(values.count + 1)))
        }
        for range in values {
            let isLiteral = range.upperBound <= literalCount
            let kind = isLiteral ? Self.kind(of: bytes[range], takesArray ? elementTypes : textTypes) : .string
            nodes.append(
                JSONDocument.Node(
                    kind: kind, start: UInt32(range.lowerBound), end: UInt32(range.upperBound),
                    next: UInt32(nodes.count + 1)))
        }
        return violations(in: JSONDocument(bytes: bytes, nodes: nodes))
    }

    /// Whether a parameter may be repeated.
    public var takesArray: Bool { textTypes == .array }

    // MARK: Texts

    private static func kind(of text: ArraySlice<UInt8>, _ types: SchemaRule.Types) -> JSONDocument.Kind {
        if types.contains(.integer), isInteger(text) { return .integer }
        if types.contains(.number), (try? JSONDocument(parsing: Array(text)))?.nodes.first?.kind == .number {
            return .number
        }
        if types.contains(.boolean) {
            if text.elementsEqual("true".utf8) { return .yes }
            if text.elementsEqual("false".utf8) { return .no }
        }
        return .string
    }

    /// Zeros in front do no harm, and clients send them.
    private static func isInteger(_ text: ArraySlice<UInt8>) -> Bool {
        let digits = text.first == UInt8(ascii: "-") ? text.dropFirst() : text
        return 1...JSONDocument.Bound.numberLength ~= digits.count && digits.allSatisfy { 0x30...0x39 ~= $0 }
    }

    /// The types that may pass a rule, as far as `type` says.
    private static func types(of index: Int, in rules: [SchemaRule]) -> SchemaRule.Types {
        let rule = rules[index]
        var types = rule.types
        for part in rule.allOf { types.formIntersection(Self.types(of: part, in: rules)) }
        for choice in [rule.anyOf, rule.oneOf] where !choice.isEmpty {
            types.formIntersection(choice.reduce(into: []) { $0.formUnion(Self.types(of: $1, in: rules)) })
        }
        return types
    }

    /// The types that may pass a rule of this schema.
    func types(of rule: Int) -> SchemaRule.Types { Self.types(of: rule, in: rules) }

    private static func elementTypes(of index: Int, in rules: [SchemaRule]) -> SchemaRule.Types {
        if let items = rules[index].array?.value.items { return types(of: items, in: rules) }
        return rules[index].allOf.first.map { elementTypes(of: $0, in: rules) } ?? .all
    }
}

/// One way in which a value is not as described.
public struct Violation: Sendable, Hashable {
    /// Where, as a JSON pointer (RFC 6901); empty for the whole value.
    public let pointer: String
    /// What is expected there, without the value found.
    public let detail: String

    /// A violation at a place.
    public init(pointer: String, detail: String) {
        self.pointer = pointer
        self.detail = detail
    }
}
