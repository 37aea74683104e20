/// One schema object, compiled. Others are named by their index in the schema.
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
    var number: NumberRule?
    var string: StringRule?
    var array: ArrayRule?
    var object: ObjectRule?
    var allOf: [Int] = []
    var anyOf: [Int] = []
    var oneOf: [Int] = []
    var not: Int?
    /// The schema `false`.
    var isNever = false

    /// Whether there is more to check than types, numbers, strings, arrays and objects.
    var hasMore: Bool {
        constants != nil || !allOf.isEmpty || !anyOf.isEmpty || !oneOf.isEmpty || not != nil || isNever
    }

    /// The rules that the same value is checked against.
    var inPlace: [Int] { allOf + anyOf + oneOf + (not.map { [$0] } ?? []) }
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
}

/// What holds for strings.
struct StringRule: Sendable {
    /// In Unicode scalars.
    var minimumLength: Int?
    var maximumLength: Int?
    var pattern: Pattern?
    var format: Format?
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
        let name: [UInt8]
        /// Nil where the property is only required; then it counts as additional.
        let rule: Int?
        /// Which bit says that it is there; nil where it need not be.
        let requiredBit: Int?
    }

    var properties: [Property] = []
    /// The bits of all that must be there.
    var required: UInt64 = 0
    /// For members without a property of their own; nil where anything goes.
    var additional: Int?
    var minimumCount: Int?
    var maximumCount: Int?
}
