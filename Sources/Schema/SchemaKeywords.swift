/// Reads the keywords of one schema object.
struct SchemaKeywords {
    /// Keywords that say something to people only, and change nothing in what is valid.
    static let annotations: Set<String> = [
        "title", "description", "default", "deprecated", "readOnly", "writeOnly", "examples", "example", "$comment",
        "externalDocs",
    ]

    private let members: [(name: String, value: SchemaSource)]
    private let key: String
    private let source: SchemaSource
    private let compiler: SchemaCompiler
    private var known: Set<String> = []

    init(
        _ members: [(name: String, value: SchemaSource)], key: String, at source: SchemaSource,
        _ compiler: SchemaCompiler
    ) {
        self.members = members
        self.key = key
        self.source = source
        self.compiler = compiler
    }

    /// The rule they make.
    mutating func rule() -> SchemaRule {
        var rule = SchemaRule()
        if let types = take("type") { rule.types = readTypes(types) }
        rule.constants = readConstants()
        rule.number = readNumber().map(Shared.init)
        rule.string = readString().map(Shared.init)
        rule.array = readArray().map(Shared.init)
        rule.object = readObject().map(Shared.init)
        rule.allOf = readSchemas("allOf")
        rule.anyOf = readSchemas("anyOf")
        rule.oneOf = readSchemas("oneOf")
        rule.not = readSchema("not")
        if let value = take("$ref"), let target = compiler.reference(value, path("$ref")) { rule.allOf.append(target) }
        for (name, value) in members where !known.contains(name) && !Self.annotations.contains(name) {
            refuse(value, name, found: "a keyword that is not checked", expected: "keywords that are, or annotations")
        }
        return rule
    }

    // MARK: Keywords

    private mutating func readTypes(_ value: SchemaSource) -> SchemaRule.Types {
        let names: [SchemaSource] = if case .array(let names) = value.value { names } else { [value] }
        var types: SchemaRule.Types = []
        for name in names {
            guard case .string(let text) = name.value, let type = SchemaRule.Types.names.first(where: { $0.0 == text })
            else {
                let names = SchemaRule.Types.names.map(\.0).joined(separator: ", ")
                refuse(name, "type", expected: "one of \(names), or a list of them")
                continue
            }
            types.insert(type.1)
        }
        if names.isEmpty { refuse(value, "type", expected: "at least one type") }
        return types
    }

    private mutating func readConstants() -> [Constant]? {
        var values: [SchemaSource]?
        if let list = take("enum") {
            if case .array(let elements) = list.value, !elements.isEmpty {
                values = elements
            } else {
                refuse(list, "enum", expected: "a list of at least one value")
            }
        }
        if let constant = take("const") {
            if values != nil { refuse(constant, "const", expected: "either enum or const") }
            values = [constant]
        }
        return values?.compactMap { value in
            (try? JSONDocument(parsing: Array(value.json.utf8))).map { Constant(document: $0) }
        }
    }

    private mutating func readNumber() -> NumberRule? {
        var rule = NumberRule()
        rule.minimum = readBound("minimum")
        rule.maximum = readBound("maximum")
        rule.exclusiveMinimum = readBound("exclusiveMinimum")
        rule.exclusiveMaximum = readBound("exclusiveMaximum")
        if let divisor = readBound("multipleOf") {
            if divisor.decimal.isDivisor {
                rule.multipleOf = divisor
            } else if let value = source["multipleOf"] {
                refuse(value, "multipleOf", expected: "a number above 0 of at most 18 digits")
            }
        }
        boundByFormat(&rule)
        let isEmpty =
            rule.minimum == nil && rule.maximum == nil && rule.exclusiveMinimum == nil && rule.exclusiveMaximum == nil
            && rule.multipleOf == nil
        rule.integers = rule.commonIntegers
        return isEmpty ? nil : rule
    }

    private mutating func readBound(_ name: String) -> NumberRule.Bound? {
        guard let value = take(name) else { return nil }
        guard case .number(let text) = value.value else {
            refuse(value, name, expected: "a number")
            return nil
        }
        return NumberRule.Bound(text)
    }

    /// The formats of OpenAPI that bound integers.
    private static let integerFormats = [
        "int32": (String(Int32.min), String(Int32.max)), "int64": (String(Int64.min), String(Int64.max)),
    ]

    private func boundByFormat(_ rule: inout NumberRule) {
        guard case .string(let name)? = source["format"]?.value, let (least, most) = Self.integerFormats[name] else {
            return
        }
        rule.minimum = rule.minimum ?? NumberRule.Bound(least)
        rule.maximum = rule.maximum ?? NumberRule.Bound(most)
    }

    private mutating func readString() -> StringRule? {
        var rule = StringRule()
        rule.minimumLength = readCount("minLength")
        rule.maximumLength = readCount("maxLength")
        if let value = take("pattern") { rule.pattern = readPattern(value).map(Shared.init) }
        var hasFormat = false
        if let value = take("format") {
            if case .string(let name) = value.value, let format = Format(rawValue: name) {
                rule.format = format
                hasFormat = true
            } else if case .string(let name) = value.value, Self.integerFormats[name] != nil {
                // Bounds, read with the other ones.
            } else {
                let names = (Format.allCases.map(\.rawValue) + Self.integerFormats.keys.sorted())
                refuse(value, "format", expected: "one of \(names.joined(separator: ", "))")
            }
        }
        let isEmpty = rule.minimumLength == nil && rule.maximumLength == nil && rule.pattern == nil && !hasFormat
        return isEmpty ? nil : rule
    }

    private mutating func readPattern(_ value: SchemaSource) -> Pattern? {
        guard case .string(let text) = value.value else {
            refuse(value, "pattern", expected: "a regular expression")
            return nil
        }
        do throws(PatternError) { return try Pattern(text) } catch {
            refuse(
                value, "pattern", found: "\(value.found) with \(error.found)",
                expected: "an expression of ECMA-262 that can be matched in one pass")
            return nil
        }
    }

    private mutating func readArray() -> ArrayRule? {
        var rule = ArrayRule()
        let prefix = readSchemas("prefixItems")
        rule.prefix = prefix
        rule.items = readSchema("items")
        rule.minimumCount = readCount("minItems")
        rule.maximumCount = readCount("maxItems")
        rule.isUnique = readTruth("uniqueItems")
        let isEmpty =
            prefix.isEmpty && rule.items == nil && rule.minimumCount == nil && rule.maximumCount == nil
            && !rule.isUnique
        return isEmpty ? nil : rule
    }

    private mutating func readObject() -> ObjectRule? {
        var rule = ObjectRule()
        let required = readRequired()
        var rules: [(String, Int)] = []
        if let value = take("properties") {
            if let members = value.members {
                for (name, value) in members {
                    rules.append((name, compiler.compile(value, key: path("properties.\(name)"))))
                }
            } else {
                refuse(value, "properties", expected: "a mapping of schemas")
            }
        }
        let names = rules.map(\.0)
        let all = rules.map { ($0.0, Optional($0.1)) } + required.filter { !names.contains($0) }.map { ($0, nil) }
        for (name, index) in all {
            rule.add(name, rule: index, requiredBit: required.firstIndex(of: name))
        }
        rule.required = required.indices.reduce(0) { $0 | 1 << UInt64($1) }
        rule.additional = readSchema("additionalProperties")
        rule.minimumCount = readCount("minProperties")
        rule.maximumCount = readCount("maxProperties")
        let isEmpty =
            rule.properties.isEmpty && rule.additional == nil && rule.minimumCount == nil && rule.maximumCount == nil
        return isEmpty ? nil : rule
    }

    private mutating func readRequired() -> [String] {
        guard let value = take("required") else { return [] }
        guard case .array(let elements) = value.value, elements.count <= ObjectRule.maximumRequired else {
            refuse(value, "required", expected: "a list of at most \(ObjectRule.maximumRequired) names")
            return []
        }
        var names: [String] = []
        for element in elements {
            if case .string(let name) = element.value, !names.contains(name) {
                names.append(name)
            } else {
                refuse(element, "required", expected: "names, each once")
            }
        }
        return names
    }

    private mutating func readSchemas(_ name: String) -> [Int] {
        guard let value = take(name) else { return [] }
        guard case .array(let elements) = value.value, !elements.isEmpty else {
            refuse(value, name, expected: "a list of at least one schema")
            return []
        }
        return elements.enumerated().map { compiler.compile($1, key: path("\(name)[\($0)]")) }
    }

    private mutating func readSchema(_ name: String) -> Int? {
        guard let value = take(name) else { return nil }
        return compiler.compile(value, key: path(name))
    }

    private mutating func readCount(_ name: String) -> Int? {
        guard let value = take(name) else { return nil }
        guard case .number(let text) = value.value, let count = Int(text), count >= 0 else {
            refuse(value, name, expected: "a whole number from 0")
            return nil
        }
        return count
    }

    private mutating func readTruth(_ name: String) -> Bool {
        guard let value = take(name) else { return false }
        guard case .bool(let truth) = value.value else {
            refuse(value, name, expected: "true or false")
            return false
        }
        return truth
    }

    // MARK: Members

    private mutating func take(_ name: String) -> SchemaSource? {
        known.insert(name)
        return source[name]
    }

    private func path(_ name: String) -> String { key.isEmpty ? name : "\(key).\(name)" }

    private func refuse(_ value: SchemaSource, _ name: String, found: String? = nil, expected: String) {
        compiler.refuse(value, path(name), found: found, expected: expected)
    }
}
