/// What a client is told of its mistakes: what is expected, and nothing of what was found.
enum SchemaDetail {
    /// Choices beyond which they are not listed.
    private static let maximumChoices = 16

    /// What a rule expects of a value's type and bounds.
    static func expectation(_ rule: SchemaRule) -> String {
        let types = rule.types
        let number = rule.number?.value
        if types.isDisjoint(with: .number) || number == nil || !types.isDisjoint(with: [.string, .array, .object]) {
            return "\(phrase(types)) is expected"
        }
        let noun = types.contains(.number) ? "A number" : "An integer"
        return noun + bounds(number) + " is expected"
    }

    private static func bounds(_ rule: NumberRule?) -> String {
        guard let rule else { return "" }
        var text = ""
        switch (rule.minimum?.text, rule.maximum?.text) {
        case (let least?, let most?): text = " from \(least) to \(most)"
        case (let least?, nil): text = " of at least \(least)"
        case (nil, let most?): text = " of at most \(most)"
        case (nil, nil): break
        }
        if let least = rule.exclusiveMinimum?.text { text += " above \(least)" }
        if let most = rule.exclusiveMaximum?.text { text += " below \(most)" }
        if let divisor = rule.multipleOf?.text { text += " that is a multiple of \(divisor)" }
        return text
    }

    private static func phrase(_ types: SchemaRule.Types) -> String {
        var words: [String] = []
        if types.contains(.object) { words.append("an object") }
        if types.contains(.array) { words.append("an array") }
        if types.contains(.string) { words.append("a string") }
        if types.contains(.number) {
            words.append("a number")
        } else if types.contains(.integer) {
            words.append("an integer")
        }
        if types.contains(.boolean) { words.append("true or false") }
        if types.contains(.null) { words.append("null") }
        guard let first = words.first, types != .all else { return "Another value" }
        let sentence =
            words.count == 1 ? first : words.dropLast().joined(separator: ", ") + " or " + words[words.count - 1]
        return sentence.prefix(1).uppercased() + sentence.dropFirst()
    }

    static func length(_ rule: StringRule) -> String {
        "A string of \(range(rule.minimumLength, rule.maximumLength)) characters is expected"
    }

    static func count(_ what: String, _ least: Int?, _ most: Int?) -> String {
        "From \(least ?? 0)\(most.map { " to \($0)" } ?? "") \(what) are expected"
    }

    private static func range(_ least: Int?, _ most: Int?) -> String {
        switch (least, most) {
        case (let least?, let most?): "\(least) to \(most)"
        case (let least?, nil): "at least \(least)"
        case (nil, let most?): "at most \(most)"
        case (nil, nil): "any number of"
        }
    }

    static func choices(_ constants: [Constant]) -> String {
        let texts = constants.map { constant in
            String(decoding: constant.document.bytes, as: UTF8.self).trimmingQuotes
        }
        if texts.count == 1 { return "\(texts[0]) is expected" }
        guard texts.count <= maximumChoices else { return "One of the described values is expected" }
        return "One of \(texts.joined(separator: ", ")) is expected"
    }

    /// What several forms expect together.
    static func either(_ expectations: [String]) -> String {
        let phrases = expectations.map { $0.replacing(" is expected", with: "") }
        var distinct: [String] = []
        for phrase in phrases {
            let phrase = distinct.isEmpty ? phrase : phrase.prefix(1).lowercased() + phrase.dropFirst()
            if !distinct.contains(phrase) { distinct.append(phrase) }
        }
        return distinct.joined(separator: " or ") + " is expected"
    }
}

extension String {
    fileprivate var trimmingQuotes: String {
        count >= 2 && hasPrefix("\"") && hasSuffix("\"") ? String(dropFirst().dropLast()) : self
    }
}

extension Schema {
    /// The rule behind references that stand alone.
    func resolved(_ index: Int) -> SchemaRule {
        var rule = rules[index]
        var rest = rules.count
        while let reference = rule.reference, rest > 0 {
            rule = rules[reference]
            rest -= 1
        }
        return rule
    }
}
