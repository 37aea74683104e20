/// Reads ECMA-262 patterns, as far as they are regular.
struct PatternParser {
    /// The largest number of a repetition.
    static let maximumRepetition = 2_000
    /// How deep groups may be nested.
    static let maximumDepth = 32

    private let scalars: [Unicode.Scalar]
    private var position = 0
    private var depth = 0

    init(_ text: String) { scalars = Array(text.unicodeScalars) }

    mutating func parse() throws(PatternError) -> PatternNode {
        let node = try choice()
        guard position == scalars.count else { throw PatternError("a closing parenthesis without an opening one") }
        return node
    }

    private var peek: Unicode.Scalar? { position < scalars.count ? scalars[position] : nil }

    private mutating func take(_ scalar: Unicode.Scalar) -> Bool {
        guard peek == scalar else { return false }
        position += 1
        return true
    }

    private mutating func choice() throws(PatternError) -> PatternNode {
        depth += 1
        guard depth <= Self.maximumDepth else { throw PatternError("groups nested too deeply") }
        var alternatives = [try sequence()]
        while take("|") { alternatives.append(try sequence()) }
        depth -= 1
        return alternatives.count == 1 ? alternatives[0] : .choice(alternatives)
    }

    private mutating func sequence() throws(PatternError) -> PatternNode {
        var terms: [PatternNode] = []
        while let scalar = peek, scalar != "|", scalar != ")" { terms.append(try term()) }
        return terms.isEmpty ? .empty : terms.count == 1 ? terms[0] : .sequence(terms)
    }

    private mutating func term() throws(PatternError) -> PatternNode {
        if take("^") { return try anchor(.begin) }
        if take("$") { return try anchor(.end) }
        return try quantified(try atom())
    }

    private func anchor(_ node: PatternNode) throws(PatternError) -> PatternNode {
        if let peek, "*+?{".unicodeScalars.contains(peek) { throw PatternError("a repeated ^ or $") }
        return node
    }

    private mutating func atom() throws(PatternError) -> PatternNode {
        guard let scalar = peek else { throw PatternError("an end where a character is expected") }
        position += 1
        switch scalar {
        case ".": return .set(ScalarSet.lineEnds.inverted)
        case "(": return try group()
        case "[": return .set(try characterClass())
        case "\\": return .set(try escape(inClass: false))
        case "*", "+", "?", "{": throw PatternError("\(scalar) with nothing to repeat")
        case "]", "}": throw PatternError("\(scalar) without an opening one")
        default: return .set(ScalarSet(scalar))
        }
    }

    private mutating func group() throws(PatternError) -> PatternNode {
        if take("?") {
            guard take(":") else { throw PatternError("a group that looks around or has a name") }
        }
        let node = try choice()
        guard take(")") else { throw PatternError("a group without an end") }
        return node
    }

    // MARK: Repetition

    private mutating func quantified(_ node: PatternNode) throws(PatternError) -> PatternNode {
        let repeated: PatternNode
        if take("*") {
            repeated = .unboundedRepetition(node, atLeast: 0)
        } else if take("+") {
            repeated = .unboundedRepetition(node, atLeast: 1)
        } else if take("?") {
            repeated = .repetition(node, 0...1)
        } else if take("{") {
            repeated = try counted(node)
        } else {
            return node
        }
        // As few as possible or as many: the answer, yes or no, is the same.
        _ = take("?")
        if let peek, "*+?{".unicodeScalars.contains(peek) { throw PatternError("a repeated repetition") }
        return repeated
    }

    private mutating func counted(_ node: PatternNode) throws(PatternError) -> PatternNode {
        let least = try number()
        guard take(",") else {
            guard take("}") else { throw PatternError("a repetition without an end") }
            return .repetition(node, least...least)
        }
        if take("}") { return .unboundedRepetition(node, atLeast: least) }
        let most = try number()
        guard take("}"), least <= most else { throw PatternError("a repetition without an order or an end") }
        return .repetition(node, least...most)
    }

    private mutating func number() throws(PatternError) -> Int {
        var value = 0
        let start = position
        while let digit = peek, ("0"..."9").contains(digit) {
            value = value * 10 + Int(digit.value - 0x30)
            guard value <= Self.maximumRepetition else {
                throw PatternError("a repetition of more than \(Self.maximumRepetition)")
            }
            position += 1
        }
        guard position > start else { throw PatternError("a repetition without a number") }
        return value
    }

    // MARK: Characters

    private mutating func characterClass() throws(PatternError) -> ScalarSet {
        let isInverted = take("^")
        var ranges: [ClosedRange<UInt32>] = []
        while !take("]") {
            let first = try member()
            if peek == "-", position + 1 < scalars.count, scalars[position + 1] != "]" {
                position += 1
                let last = try member()
                guard let lower = first.only, let upper = last.only, lower <= upper else {
                    throw PatternError("a range without an order in a character class")
                }
                ranges.append(lower...upper)
            } else {
                ranges += first.ranges
            }
        }
        let set = ScalarSet(ranges)
        return isInverted ? set.inverted : set
    }

    private mutating func member() throws(PatternError) -> ScalarSet {
        guard let scalar = peek else { throw PatternError("a character class without an end") }
        position += 1
        if scalar == "\\" { return try escape(inClass: true) }
        guard scalar != "[" else { throw PatternError("[ within a character class, to be written \\[") }
        return ScalarSet(scalar)
    }

    private mutating func escape(inClass: Bool) throws(PatternError) -> ScalarSet {
        guard let letter = peek else { throw PatternError("a backslash at the end") }
        position += 1
        switch letter {
        case "d": return .digits
        case "D": return ScalarSet.digits.inverted
        case "w": return .wordCharacters
        case "W": return ScalarSet.wordCharacters.inverted
        case "s": return .blanks
        case "S": return ScalarSet.blanks.inverted
        case "t": return ScalarSet("\t")
        case "n": return ScalarSet("\n")
        case "r": return ScalarSet("\r")
        case "f": return ScalarSet("\u{C}")
        case "v": return ScalarSet("\u{B}")
        case "x": return ScalarSet(try scalar(digits: 2))
        case "u": return ScalarSet(try unicodeEscape())
        case "^", "$", "\\", ".", "*", "+", "?", "(", ")", "[", "]", "{", "}", "|", "/": return ScalarSet(letter)
        case "-" where inClass: return ScalarSet(letter)
        default: throw PatternError("\\\(letter)")
        }
    }

    private mutating func unicodeEscape() throws(PatternError) -> Unicode.Scalar {
        guard take("{") else { return try scalar(digits: 4) }
        let end = scalars[position...].firstIndex(of: "}") ?? scalars.count
        guard end < scalars.count, 1...6 ~= end - position else { throw PatternError("a \\u{ without an end") }
        let scalar = try scalar(digits: end - position)
        position += 1
        return scalar
    }

    private mutating func scalar(digits: Int) throws(PatternError) -> Unicode.Scalar {
        guard position + digits <= scalars.count else { throw PatternError("too few hexadecimal digits") }
        var value: UInt32 = 0
        for scalar in scalars[position..<position + digits] {
            guard scalar.isASCII, let digit = UInt8(scalar.value).hexadecimalValue else {
                throw PatternError("\(scalar) where a hexadecimal digit is expected")
            }
            value = value << 4 | UInt32(digit)
        }
        position += digits
        guard let scalar = Unicode.Scalar(value) else { throw PatternError("half a surrogate pair") }
        return scalar
    }
}

extension ScalarSet {
    /// The only character, if there is one.
    fileprivate var only: UInt32? {
        guard ranges.count == 1, ranges[0].count == 1 else { return nil }
        return ranges[0].lowerBound
    }
}
