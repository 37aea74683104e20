/// A described parameter of a request outside of its body.
public struct Parameter: Sendable {
    /// Its name, letter for letter.
    public let name: String
    /// Whether a request without it is refused.
    public let isRequired: Bool
    /// What its value must be; a schema for arrays lets it be repeated.
    public let schema: Schema

    /// A parameter as described.
    public init(name: String, isRequired: Bool, schema: Schema) {
        self.name = name
        self.isRequired = isRequired
        self.schema = schema
    }

    /// What is wrong with a single value, such as a segment of a path or the value of a field.
    ///
    /// - Parameter pointer: what pointers begin with.
    public func violations(in value: ArraySlice<UInt8>, at pointer: String) -> [Violation] {
        schema.isPlainlyRight(value) ? [] : violations(in: [value], at: pointer)
    }

    /// What is wrong with the values that a request has under this name, without any encoding.
    ///
    /// - Parameter pointer: what pointers begin with.
    public func violations(in values: [ArraySlice<UInt8>], at pointer: String) -> [Violation] {
        var bytes: [UInt8] = []
        var ranges: [Range<Int>] = []
        for value in values {
            ranges.append(bytes.count..<bytes.count + value.count)
            bytes += value
        }
        guard JSONDocumentParser.isUTF8(bytes.span) else {
            return [Violation(pointer: pointer, detail: "This is not valid UTF-8")]
        }
        return check(bytes, ranges, literalCount: bytes.count, at: pointer, isNamed: true)
    }

    /// - Parameters:
    ///   - literalCount: bytes up to which values stand as they were sent.
    ///   - isNamed: whether the pointer names the parameter already.
    fileprivate func check(
        _ bytes: [UInt8], _ ranges: [Range<Int>], literalCount: Int, at pointer: String, isNamed: Bool = false
    ) -> [Violation] {
        guard !ranges.isEmpty else {
            return isRequired ? [violation(pointer, isNamed, "The parameter is missing")] : []
        }
        guard ranges.count == 1 || schema.takesArray else {
            return [violation(pointer, isNamed, "The parameter is repeated")]
        }
        let violations = schema.violations(in: bytes, values: ranges, literalCount: literalCount)
        guard !violations.isEmpty else { return [] }
        let own = violation(pointer, isNamed, "").pointer
        return violations.map { Violation(pointer: own + $0.pointer, detail: $0.detail) }
    }

    private func violation(_ pointer: String, _ isNamed: Bool, _ detail: String) -> Violation {
        let name = isNamed ? "" : JSONPointer.escape(ArraySlice(name.utf8))
        return Violation(pointer: pointer + name, detail: detail)
    }
}

/// All parameters that a request's query may have: no other one is let through.
public struct QueryParameters: Sendable {
    private static let pointer = "/query/"

    private let parameters: [Parameter]
    private let names: ObjectRule
    /// A bit for each that must be there, where there are no more than 64.
    private let required: UInt64

    /// The described ones, no name twice.
    public init(_ parameters: [Parameter]) {
        self.parameters = parameters
        var names = ObjectRule()
        for (index, parameter) in parameters.enumerated() {
            names.add(parameter.name, rule: index, requiredBit: nil)
        }
        self.names = names
        required = parameters.indices.reduce(0) { $0 | (parameters[$1].isRequired ? 1 << UInt64($1) : 0) }
    }

    /// What is wrong with a query.
    ///
    /// Names are compared as they were sent. Values have their percent-encoding resolved, but a number is one only
    /// without any; a plus is a plus.
    ///
    /// - Parameter query: what follows the question mark, `pchar`, `/` and `?` only (RFC 3986 §3.4).
    public func violations(in query: ArraySlice<UInt8>) -> [Violation] {
        if isPlainlyRight(query) { return [] }
        var values: [(parameter: Int, range: Range<Int>)] = []
        values.reserveCapacity(parameters.count)
        var bytes = Array(query)
        var violations: [Violation] = []
        var start = 0
        let end = bytes.count
        while start < end {
            let stop = bytes[start..<end].firstIndex(of: UInt8(ascii: "&")) ?? end
            defer { start = stop + 1 }
            guard stop > start else { continue }
            let equals = bytes[start..<stop].firstIndex(of: UInt8(ascii: "=")) ?? stop
            let name = bytes[start..<equals]
            guard let index = names.property(name)?.rule else {
                if violations.count < Schema.maximumViolations {
                    let pointer = Self.pointer + JSONPointer.escape(name)
                    violations.append(Violation(pointer: pointer, detail: "There is no such parameter"))
                }
                continue
            }
            values.append((index, Self.decode(min(equals + 1, stop)..<stop, in: &bytes)))
        }
        if bytes.count > query.count, !JSONDocumentParser.isUTF8(bytes.span) {
            return [Violation(pointer: "/query", detail: "The percent-encoded text is not valid UTF-8")]
        }
        var own: [Violation] = []
        for index in parameters.indices {
            let ranges = values.lazy.filter { $0.parameter == index }.map(\.range)
            if !parameters[index].isRequired, ranges.isEmpty { continue }
            own += parameters[index].check(bytes, Array(ranges), literalCount: query.count, at: Self.pointer)
        }
        return Array((own + violations).prefix(Schema.maximumViolations))
    }

    /// Whether a query is right, as far as that shows without taking it apart: nothing encoded, nothing repeated.
    private func isPlainlyRight(_ query: ArraySlice<UInt8>) -> Bool {
        guard parameters.count <= 64 else { return false }
        var seen: UInt64 = 0
        var start = query.startIndex
        while start < query.endIndex {
            var (stop, equals) = (start, query.endIndex)
            while stop < query.endIndex, query[stop] != UInt8(ascii: "&") {
                switch query[stop] {
                case UInt8(ascii: "%"): return false
                case UInt8(ascii: "="): equals = min(equals, stop)
                default: break
                }
                stop += 1
            }
            guard equals < stop, let index = names.property(query[start..<equals])?.rule,
                seen & 1 << UInt64(index) == 0,
                parameters[index].schema.isPlainlyRight(query[equals + 1..<stop])
            else { return false }
            seen |= 1 << UInt64(index)
            start = stop + 1
        }
        return seen & required == required
    }

    /// Where the value stands without percent-encoding, which is appended if there is any.
    private static func decode(_ range: Range<Int>, in bytes: inout [UInt8]) -> Range<Int> {
        guard bytes[range].contains(UInt8(ascii: "%")) else { return range }
        let start = bytes.count
        var index = range.lowerBound
        while index < range.upperBound {
            if bytes[index] == UInt8(ascii: "%"), index + 2 < range.upperBound,
                let high = bytes[index + 1].hexadecimalValue, let low = bytes[index + 2].hexadecimalValue
            {
                bytes.append(high << 4 | low)
                index += 3
            } else {
                bytes.append(bytes[index])
                index += 1
            }
        }
        return start..<bytes.count
    }
}
