/// One check of a document.
struct SchemaEvaluation {
    /// The most steps, which only a schema with choices within choices can reach.
    static let maximumSteps = 1_000_000

    let schema: Schema
    let document: JSONDocument
    private(set) var violations: [Violation] = []
    /// Off while branches are tried: then the first violation ends the check, and none is noted.
    private var isTelling = false
    private var steps = 0
    /// By the index of the node: whether its text was found to be confined. It stays so whatever becomes of the branch in
    /// which that was found.
    private var isConfined: [Bool]

    static func validate(_ document: JSONDocument, by schema: Schema) throws(InvalidDocument) -> ValidDocument {
        var evaluation = SchemaEvaluation(schema: schema, document: document)
        if evaluation.check(schema.root, 0), evaluation.steps <= maximumSteps {
            return ValidDocument(document, isConfined: evaluation.isConfined)
        }
        // What is wrong is looked for only when something is.
        evaluation.isTelling = true
        evaluation.steps = 0
        _ = evaluation.check(schema.root, 0)
        if evaluation.violations.isEmpty { evaluation.tell(0, "This value is too complex to be checked") }
        throw InvalidDocument(violations: evaluation.violations)
    }

    private init(schema: Schema, document: JSONDocument) {
        self.schema = schema
        self.document = document
        isConfined = [Bool](repeating: false, count: document.nodes.count)
    }

    /// Whether a value passes a rule.
    mutating func check(_ ruleIndex: Int, _ node: Int) -> Bool {
        steps += 1
        guard steps <= Self.maximumSteps else { return false }
        let kind = document.nodes[node].kind
        guard schema.rules[ruleIndex].types.contains(type(of: node, kind)) else {
            tell(node, SchemaDetail.expectation(schema.rules[ruleIndex]))
            return false
        }
        var isValid = true
        switch kind {
        case .integer, .number:
            if let number = schema.rules[ruleIndex].number { isValid = check(number, ruleIndex, node) }
        case .string:
            if let string = schema.rules[ruleIndex].string { isValid = check(string, node) }
        case .array:
            if let array = schema.rules[ruleIndex].array { isValid = check(array, node) }
        case .object:
            if let object = schema.rules[ruleIndex].object { isValid = check(object, node) }
        case .null, .no, .yes: break
        }
        guard isValid || isTelling, schema.rules[ruleIndex].hasMore else { return isValid }
        return checkMore(ruleIndex, node) && isValid
    }

    private func type(of node: Int, _ kind: JSONDocument.Kind) -> SchemaRule.Types {
        switch kind {
        case .null: .null
        case .no, .yes: .boolean
        case .integer: .integer
        // `1.0` is an integer too (2020-12 validation §6.1.1). What is none is a number and nothing else.
        case .number: decimal(node).isInteger ? .integer : SchemaRule.Types(rawValue: 8)
        case .string: .string
        case .array: .array
        case .object: .object
        }
    }

    private func decimal(_ node: Int) -> DecimalNumber { DecimalNumber(document.bytes[document.nodes[node].range]) }

    // MARK: Numbers and strings

    private mutating func check(_ number: Shared<NumberRule>, _ index: Int, _ node: Int) -> Bool {
        if document.nodes[node].kind == .integer, let integers = number.value.integers,
            let value = document.integer(node), integers.contains(value)
        {
            return true
        }
        let rule = number.value
        let integer = document.nodes[node].kind == .integer ? document.integer(node) : nil
        let isWithin =
            isTrue(rule.minimum) { order(node, integer, $0) >= 0 }
            && isTrue(rule.maximum) { order(node, integer, $0) <= 0 }
            && isTrue(rule.exclusiveMinimum) { order(node, integer, $0) > 0 }
            && isTrue(rule.exclusiveMaximum) { order(node, integer, $0) < 0 }
            && isTrue(rule.multipleOf) { decimal(node).isMultiple(of: $0.decimal) }
        if !isWithin { tell(node, SchemaDetail.expectation(schema.rules[index])) }
        return isWithin
    }

    /// What is not described holds.
    @inline(__always)
    private func isTrue(_ bound: NumberRule.Bound?, _ holds: (NumberRule.Bound) -> Bool) -> Bool {
        bound.map(holds) ?? true
    }

    /// Negative where the value is below the bound, positive where it is above.
    @inline(__always)
    private func order(_ node: Int, _ integer: Int64?, _ bound: NumberRule.Bound) -> Int {
        if let integer, let other = bound.integer { return integer < other ? -1 : integer > other ? 1 : 0 }
        let value = decimal(node)
        return value < bound.decimal ? -1 : value > bound.decimal ? 1 : 0
    }

    private mutating func check(_ rule: Shared<StringRule>, _ node: Int) -> Bool {
        if let mistake = rule.value.mistake(in: document.text(node)) {
            tell(node, mistake)
            return false
        }
        if rule.value.isConfining { isConfined[node] = true }
        return true
    }

    // MARK: Arrays and objects

    private mutating func check(_ array: Shared<ArrayRule>, _ node: Int) -> Bool {
        let count = Int(document.nodes[node].count)
        var isValid = true
        if count < array.value.minimumCount ?? 0 || count > array.value.maximumCount ?? .max {
            tell(node, SchemaDetail.count("elements", array.value.minimumCount, array.value.maximumCount))
            isValid = false
        }
        if isValid, array.value.isUnique, !JSONEquality.areDistinct(document.elements(of: node), in: document) {
            tell(node, "Elements that differ from each other are expected")
            isValid = false
        }
        var element = node + 1
        for position in 0..<count {
            guard isValid || isTelling else { return false }
            let isInPrefix = position < array.value.prefix.count
            if let rule = isInPrefix ? array.value.prefix[position] : array.value.items, !check(rule, element) {
                isValid = false
            }
            element = Int(document.nodes[element].next)
        }
        return isValid
    }

    private mutating func check(_ object: Shared<ObjectRule>, _ node: Int) -> Bool {
        let count = Int(document.nodes[node].count)
        var isValid = true
        var present: UInt64 = 0
        var name = node + 1
        for _ in 0..<count {
            let property = object.value.property(document.text(name))
            if property != nil { isConfined[name] = true }
            if let bit = property?.requiredBit { present |= 1 << UInt64(bit) }
            let isValidMember =
                property?.rule.map { check($0, name + 1) } ?? checkAdditional(object.value.additional, name + 1)
            name = Int(document.nodes[name + 1].next)
            guard !isValidMember else { continue }
            isValid = false
            guard isTelling else { return false }
        }
        if present & object.value.required != object.value.required {
            isValid = false
            guard isTelling else { return false }
            tellMissing(object.value, present, node)
        }
        if count < object.value.minimumCount ?? 0 || count > object.value.maximumCount ?? .max {
            tell(node, SchemaDetail.count("members", object.value.minimumCount, object.value.maximumCount))
            isValid = false
        }
        return isValid
    }

    private mutating func tellMissing(_ object: ObjectRule, _ present: UInt64, _ node: Int) {
        for property in object.properties {
            guard let bit = property.requiredBit, present & 1 << UInt64(bit) == 0 else { continue }
            tell(node, member: object.names[property.name], "This member is required")
        }
    }

    private mutating func checkAdditional(_ rule: Int?, _ value: Int) -> Bool {
        guard let rule else { return true }
        guard !schema.rules[rule].isNever else {
            tell(value, "There is no such member")
            return false
        }
        return check(rule, value)
    }

    // MARK: Choices

    private mutating func checkMore(_ index: Int, _ node: Int) -> Bool {
        if schema.rules[index].isNever {
            tell(node, "There is no such value")
            return false
        }
        var isValid = true
        if let constants = schema.rules[index].constants {
            if constants.contains(where: { JSONEquality.isEqual($0, document, node) }) {
                isConfined[node] = true
            } else {
                tell(node, SchemaDetail.choices(constants))
                isValid = false
            }
        }
        for part in schema.rules[index].allOf where isValid || isTelling { isValid = check(part, node) && isValid }
        let (any, one) = (schema.rules[index].anyOf, schema.rules[index].oneOf)
        if !any.isEmpty, isValid || isTelling { isValid = checkAny(any, node) && isValid }
        if !one.isEmpty, isValid || isTelling { isValid = checkOne(one, node) && isValid }
        if let not = schema.rules[index].not, isValid || isTelling, passes(not, node) || steps > Self.maximumSteps {
            tell(node, "Another value is expected")
            isValid = false
        }
        return isValid
    }

    private mutating func checkAny(_ branches: [Int], _ node: Int) -> Bool {
        for branch in branches where passes(branch, node) { return true }
        if isTelling { tellBest(branches, node) }
        return false
    }

    private mutating func checkOne(_ branches: [Int], _ node: Int) -> Bool {
        var passed = 0
        for branch in branches where passes(branch, node) { passed += 1 }
        // A check that ran out of steps may have taken a branch for one that does not pass.
        if passed == 1, steps <= Self.maximumSteps { return true }
        if passed == 0, isTelling { tellBest(branches, node) }
        if passed > 1 { tell(node, "A value of exactly one of the described forms is expected") }
        return false
    }

    /// Whether a value passes a rule, without telling.
    private mutating func passes(_ rule: Int, _ node: Int) -> Bool {
        let wasTelling = isTelling
        isTelling = false
        defer { isTelling = wasTelling }
        return check(rule, node)
    }

    /// Tells what is wrong by the branch that was meant: the only one that is of the value's type.
    private mutating func tellBest(_ branches: [Int], _ node: Int) {
        let kind = document.nodes[node].kind
        let meant = branches.filter { branch in
            schema.types(of: branch).contains(type(of: node, kind))
        }
        if meant.count == 1 {
            _ = check(meant[0], node)
        } else {
            let forms = branches.map { SchemaDetail.expectation(schema.resolved($0)) }
            tell(node, SchemaDetail.either(forms))
        }
    }

    // MARK: Telling

    private mutating func tell(_ node: Int, member: ArraySlice<UInt8>? = nil, _ detail: String) {
        guard isTelling, violations.count < Schema.maximumViolations else { return }
        var pointer = document.pointer(to: node)
        if let member { pointer += "/" + JSONPointer.escape(member) }
        violations.append(Violation(pointer: pointer, detail: detail))
    }
}
