/// A regular expression that is matched in one pass, whatever the text: a table with one step for each character.
///
/// Engines that try alternatives one after the other can be kept busy for ages by a text made for the purpose. What
/// cannot be made such a table of bounded size (back references, looking around, huge repetitions) is refused when the
/// pattern is read.
struct Pattern: Sendable {
    /// The class of each ASCII character.
    private let asciiClasses: [UInt8]
    /// Where classes of characters begin, ascending, from 0.
    private let boundaries: [UInt32]
    /// The next state by state and class.
    private let transitions: [UInt16]
    private let classCount: Int
    /// Whether what was read by a state matches, whatever follows.
    private let isMatch: [Bool]
    /// Whether what was read by a state matches if the text ends there.
    private let isMatchAtEnd: [Bool]
    /// Whether nothing that follows can match.
    private let isDead: [Bool]
    /// Whether no text that it matches has anything in it but ASCII letters and digits: what could end a literal, begin a
    /// tag, separate words or name a path is none.
    let isConfining: Bool

    /// Compiles an expression in the syntax of ECMA-262, which JSON Schema names.
    ///
    /// - Throws: `PatternError`.
    init(_ text: String) throws(PatternError) {
        var parser = PatternParser(text)
        let automaton = try PatternAutomaton(try parser.parse())
        var builder = PatternTable(automaton)
        try builder.build()
        boundaries = builder.boundaries
        classCount = builder.boundaries.count
        transitions = builder.transitions
        isMatch = builder.isMatch
        isMatchAtEnd = builder.isMatchAtEnd
        isDead = builder.isDead
        isConfining = builder.matchesOnly(.lettersAndDigits)
        let starts = boundaries
        asciiClasses = (0..<128).map { scalar in UInt8(starts.lastIndex { $0 <= scalar } ?? 0) }
    }

    /// Whether the pattern matches somewhere in a text, valid UTF-8.
    func matches(_ text: ArraySlice<UInt8>) -> Bool {
        var state = 0
        var index = text.startIndex
        while index < text.endIndex {
            if isMatch[state] { return true }
            if isDead[state] { return false }
            let byte = text[index]
            let characterClass: Int
            if byte < 0x80 {
                characterClass = Int(asciiClasses[Int(byte)])
                index &+= 1
            } else {
                characterClass = self.characterClass(of: Self.scalar(text, &index))
            }
            state = Int(transitions[state &* classCount &+ characterClass])
        }
        return isMatch[state] || isMatchAtEnd[state]
    }

    private func characterClass(of scalar: UInt32) -> Int {
        var (low, high) = (0, boundaries.count)
        while high - low > 1 {
            let middle = (low + high) / 2
            if boundaries[middle] <= scalar { low = middle } else { high = middle }
        }
        return low
    }

    private static func scalar(_ text: ArraySlice<UInt8>, _ index: inout Int) -> UInt32 {
        let first = text[index]
        let length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2
        var scalar = UInt32(first) & (0x7F >> UInt32(length))
        for offset in 1..<length { scalar = scalar << 6 | UInt32(text[index + offset] & 0x3F) }
        index += length
        return scalar
    }
}

/// Why a pattern cannot be used.
struct PatternError: Error, Equatable {
    /// What was found, for whoever wrote it.
    let found: String

    init(_ found: String) { self.found = found }
}

/// A pattern taken apart.
indirect enum PatternNode {
    case empty
    case set(ScalarSet)
    case sequence([PatternNode])
    case choice([PatternNode])
    case repetition(PatternNode, ClosedRange<Int>)
    case unboundedRepetition(PatternNode, atLeast: Int)
    case begin
    case end
}

/// Characters, as ascending ranges that do not touch.
struct ScalarSet: Equatable {
    static let last: UInt32 = 0x10FFFF

    private(set) var ranges: [ClosedRange<UInt32>]

    init(_ ranges: [ClosedRange<UInt32>]) {
        self.ranges = []
        for range in ranges.sorted(by: { $0.lowerBound < $1.lowerBound }) {
            if let previous = self.ranges.last, range.lowerBound <= previous.upperBound + 1 {
                self.ranges[self.ranges.count - 1] =
                    previous.lowerBound...max(previous.upperBound, range.upperBound)
            } else {
                self.ranges.append(range)
            }
        }
    }

    init(_ scalar: Unicode.Scalar) { self.init([scalar.value...scalar.value]) }

    func contains(_ scalar: UInt32) -> Bool { ranges.contains { $0.contains(scalar) } }

    var inverted: ScalarSet {
        var inverse: [ClosedRange<UInt32>] = []
        var next: UInt32 = 0
        for range in ranges {
            if range.lowerBound > next { inverse.append(next...range.lowerBound - 1) }
            next = range.upperBound + 1
        }
        if next <= Self.last { inverse.append(next...Self.last) }
        return ScalarSet(inverse)
    }

    static let digits = ScalarSet([0x30...0x39])
    static let lettersAndDigits = ScalarSet([0x30...0x39, 0x41...0x5A, 0x61...0x7A])
    static let wordCharacters = ScalarSet([0x30...0x39, 0x41...0x5A, 0x5F...0x5F, 0x61...0x7A])
    /// ECMA-262: WhiteSpace and LineTerminator.
    static let blanks = ScalarSet([
        0x09...0x0D, 0x20...0x20, 0xA0...0xA0, 0x1680...0x1680, 0x2000...0x200A, 0x2028...0x2029, 0x202F...0x202F,
        0x205F...0x205F, 0x3000...0x3000, 0xFEFF...0xFEFF,
    ])
    static let lineEnds = ScalarSet([0x0A...0x0A, 0x0D...0x0D, 0x2028...0x2029])
}
