/// One schema object, compiled. Others are named by their index in the schema.
///
/// What holds for each kind of value stands behind a reference, so that looking at it copies nothing.
struct SchemaRule: Sendable {
    /// Types of values, as JSON Schema names them.
    struct Types: OptionSet, Sendable {
        let rawValue: UInt8

        static let null = Types(rawValue: 1)
        static let boolean = Types(rawValue: 2)
        static let integer = Types(rawValue: 4)
        /// Every number, integers too.
        static let number = Types(rawValue: 8 | 4)
        static let string = Types(rawValue: 16)
        static let array = Types(rawValue: 32)
        static let object = Types(rawValue: 64)
        static let all = Types(rawValue: 127)

        static let names: [(String, Types)] = [
            ("null", .null), ("boolean", .boolean), ("integer", .integer), ("number", .number), ("string", .string),
            ("array", .array), ("object", .object),
        ]
    }

    var types = Types.all
    /// `enum`, or the one value of `const`.
    var constants: [Constant]?
    var number: Shared<NumberRule>?
    var string: Shared<StringRule>?
    var array: Shared<ArrayRule>?
    var object: Shared<ObjectRule>?
    var allOf: [Int] = []
    var anyOf: [Int] = []
    var oneOf: [Int] = []
    var not: Int?
    /// The schema `false`.
    var isNever = false

    /// The one rule that says the same as this one, which says nothing of its own: a reference that stands alone.
    var reference: Int? {
        let isBare =
            types == .all && constants == nil && number == nil && string == nil && array == nil && object == nil
            && anyOf.isEmpty && oneOf.isEmpty && not == nil && !isNever
        return isBare && allOf.count == 1 ? allOf[0] : nil
    }

    /// Whether there is more to check than types, numbers, strings, arrays and objects.
    var hasMore: Bool {
        constants != nil || !allOf.isEmpty || !anyOf.isEmpty || !oneOf.isEmpty || not != nil || isNever
    }

    /// The rules that the same value is checked against.
    var inPlace: [Int] { allOf + anyOf + oneOf + (not.map { [$0] } ?? []) }
}

/// A value that several share and none changes.
final class Shared<Value: Sendable>: Sendable {
    let value: Value

    init(_ value: Value) { self.value = value }
}

/// A value that is compared with others.
struct Constant: Sendable {
    let document: JSONDocument
}

/// What holds for numbers.
struct NumberRule: Sendable {
    /// A number, and the integer it is where it is one that fits.
    struct Bound: Sendable {
        let decimal: DecimalNumber
        let integer: Int64?
        let text: String

        init(_ text: String) {
            decimal = DecimalNumber(ArraySlice(text.utf8))
            integer = Int64(text)
            self.text = text
        }
    }

    var minimum: Bound?
    var maximum: Bound?
    var exclusiveMinimum: Bound?
    var exclusiveMaximum: Bound?
    var multipleOf: Bound?

    /// What `commonIntegers` says, kept because it is asked for with each number.
    var integers: ClosedRange<Int64>?

    /// The integers of 64 bits that all of this lets through; nil where that takes more to say.
    var commonIntegers: ClosedRange<Int64>? {
        guard multipleOf == nil else { return nil }
        var (least, most) = (Int64.min, Int64.max)
        for (bound, step) in [(minimum, 0), (exclusiveMinimum, 1)] {
            guard let bound else { continue }
            guard let integer = bound.integer, integer < .max else { return nil }
            least = max(least, integer + Int64(step))
        }
        for (bound, step) in [(maximum, 0), (exclusiveMaximum, 1)] {
            guard let bound else { continue }
            guard let integer = bound.integer, integer > .min else { return nil }
            most = min(most, integer - Int64(step))
        }
        return least <= most ? least...most : nil
    }
}

/// What holds for strings.
struct StringRule: Sendable {
    /// In Unicode scalars.
    var minimumLength: Int?
    var maximumLength: Int?
    var pattern: Shared<Pattern>?
    var format: Format?

    /// What is expected instead of a text, UTF-8; nil where it is as described.
    func mistake(in text: ArraySlice<UInt8>) -> String? {
        if minimumLength != nil || maximumLength != nil {
            // Every scalar has one byte that does not continue another's.
            var length = 0
            for byte in text where byte & 0xC0 != 0x80 { length &+= 1 }
            guard length >= minimumLength ?? 0, length <= maximumLength ?? .max else {
                return SchemaDetail.length(self)
            }
        }
        if let format, !format.matches(text) { return format.expectation }
        if let pattern, !pattern.value.matches(text) { return "Another form of text is expected" }
        return nil
    }

    /// Whether a text that this lets through is confined.
    var isConfining: Bool { format?.isConfining == true || pattern?.value.isConfining == true }
}

/// What holds for arrays.
struct ArrayRule: Sendable {
    var prefix: [Int] = []
    /// For the elements behind the prefix.
    var items: Int?
    var minimumCount: Int?
    var maximumCount: Int?
    var isUnique = false
}

/// What holds for objects.
struct ObjectRule: Sendable {
    /// The most members that can be required of one object: one bit each.
    static let maximumRequired = 64

    struct Property: Sendable {
        /// Where its name stands among the others.
        let name: Range<Int>
        /// Nil where the property is only required; then it counts as additional.
        let rule: Int?
        /// Which bit says that it is there; nil where it need not be.
        let requiredBit: Int?
    }

    private(set) var properties: [Property] = []
    /// All names in one.
    private(set) var names: [UInt8] = []
    /// The bits of all that must be there.
    var required: UInt64 = 0
    /// For members without a property of their own; nil where anything goes.
    var additional: Int?
    var minimumCount: Int?
    var maximumCount: Int?

    mutating func add(_ name: String, rule: Int?, requiredBit: Int?) {
        let start = names.count
        names += name.utf8
        properties.append(Property(name: start..<names.count, rule: rule, requiredBit: requiredBit))
    }

    /// The property of a name.
    func property(_ name: ArraySlice<UInt8>) -> Property? {
        for property in properties where property.name.count == name.count {
            var index = 0
            while index < name.count, names[property.name.lowerBound &+ index] == name[name.startIndex &+ index] {
                index &+= 1
            }
            if index == name.count { return property }
        }
        return nil
    }
}
