/// A pattern as states between which characters lead, several at a time (Thompson 1968).
struct PatternAutomaton {
    /// The most states: repetitions are written out.
    static let maximumStates = 8_192

    enum State {
        case set(ScalarSet, next: Int)
        case fork([Int])
        case begin(next: Int)
        case end(next: Int)
        case match
    }

    private(set) var states: [State] = [.match]
    private(set) var start = 0

    init(_ node: PatternNode) throws(PatternError) { start = try add(node, before: 0) }

    private mutating func append(_ state: State) throws(PatternError) -> Int {
        guard states.count < Self.maximumStates else { throw PatternError("too many repetitions") }
        states.append(state)
        return states.count - 1
    }

    /// Adds the states of a node that lead to `next`; returns the first of them.
    private mutating func add(_ node: PatternNode, before next: Int) throws(PatternError) -> Int {
        switch node {
        case .empty: return next
        case .set(let set): return try append(.set(set, next: next))
        case .begin: return try append(.begin(next: next))
        case .end: return try append(.end(next: next))
        case .sequence(let nodes):
            var first = next
            for node in nodes.reversed() { first = try add(node, before: first) }
            return first
        case .choice(let nodes):
            var firsts: [Int] = []
            for node in nodes { firsts.append(try add(node, before: next)) }
            return try append(.fork(firsts))
        case .repetition(let node, let counts):
            var first = next
            for _ in 0..<counts.upperBound - counts.lowerBound {
                first = try append(.fork([try add(node, before: first), next]))
            }
            return try add(node, times: counts.lowerBound, before: first)
        case .unboundedRepetition(let node, let least):
            let loop = try append(.fork([]))
            states[loop] = .fork([try add(node, before: loop), next])
            return try add(node, times: least, before: loop)
        }
    }

    private mutating func add(_ node: PatternNode, times: Int, before next: Int) throws(PatternError) -> Int {
        var first = next
        for _ in 0..<times { first = try add(node, before: first) }
        return first
    }

    /// The states that can be reached from some without reading anything.
    ///
    /// - Parameters:
    ///   - atBegin: whether nothing was read before.
    ///   - atEnd: whether nothing is left to read.
    func closure(_ states: [Int], atBegin: Bool, atEnd: Bool = false) -> [Int] {
        var reached: Set<Int> = []
        var pending = states
        while let state = pending.popLast() {
            guard reached.insert(state).inserted else { continue }
            switch self.states[state] {
            case .fork(let targets): pending += targets
            case .begin(let next) where atBegin: pending.append(next)
            case .end(let next) where atEnd: pending.append(next)
            default: break
            }
        }
        // Forks are only passed through, and a beginning that is over leads nowhere.
        return reached.filter { state in
            switch self.states[state] {
            case .fork: false
            case .begin: false
            case .set, .end, .match: true
            }
        }.sorted()
    }
}

/// Makes the table: each of its states is a set of the automaton's (Rabin and Scott 1959).
struct PatternTable {
    /// The most states of the table.
    static let maximumStates = 4_096

    private let automaton: PatternAutomaton
    private(set) var boundaries: [UInt32] = []
    private(set) var transitions: [UInt16] = []
    private(set) var isMatch: [Bool] = []
    private(set) var isMatchAtEnd: [Bool] = []
    private(set) var isDead: [Bool] = []

    private var sets: [[Int]] = []
    private var known: [[Int]: Int] = [:]

    init(_ automaton: PatternAutomaton) {
        self.automaton = automaton
        var starts: Set<UInt32> = [0]
        for case .set(let set, _) in automaton.states {
            for range in set.ranges {
                starts.insert(range.lowerBound)
                if range.upperBound < ScalarSet.last { starts.insert(range.upperBound + 1) }
            }
        }
        boundaries = starts.sorted()
    }

    mutating func build() throws(PatternError) {
        guard boundaries.count <= 256 else { throw PatternError("too many kinds of characters") }
        // The first is kept apart: only there the text begins.
        sets = [automaton.closure([automaton.start], atBegin: true)]
        var state = 0
        while state < sets.count {
            let set = sets[state]
            isMatch.append(set.contains(0))
            isMatchAtEnd.append(automaton.closure(set, atBegin: state == 0, atEnd: true).contains(0))
            for start in boundaries { transitions.append(try target(of: set, start)) }
            state += 1
        }
        isDead = sets.indices.map { state in
            let row = transitions[state * boundaries.count..<(state + 1) * boundaries.count]
            return !isMatch[state] && !isMatchAtEnd[state] && row.allSatisfy { Int($0) == state }
        }
    }

    /// The state after one more character. A match may begin at any, so the pattern's own beginning is always added.
    private mutating func target(of set: [Int], _ scalar: UInt32) throws(PatternError) -> UInt16 {
        var next = [automaton.start]
        for state in set {
            if case .set(let scalars, let target) = automaton.states[state], scalars.contains(scalar) {
                next.append(target)
            }
        }
        let closure = automaton.closure(next, atBegin: false)
        if let state = known[closure] { return UInt16(state) }
        guard sets.count < Self.maximumStates else { throw PatternError("too many cases to tell apart") }
        known[closure] = sets.count
        sets.append(closure)
        return UInt16(sets.count - 1)
    }

    /// Whether every text that it matches consists of these characters.
    func matchesOnly(_ scalars: ScalarSet) -> Bool {
        // After such a state anything may follow.
        guard !isMatch.contains(true) else { return false }
        let isLive = liveStates
        return sets.indices.allSatisfy { state in
            boundaries.indices.allSatisfy { kind in
                let target = Int(transitions[state * boundaries.count + kind])
                return !isLive[target] || isSubset(kind, of: scalars)
            }
        }
    }

    /// The states from which a match can be reached.
    private var liveStates: [Bool] {
        var isLive = isMatchAtEnd
        var hasChanged = true
        while hasChanged {
            hasChanged = false
            for state in sets.indices.reversed() where !isLive[state] {
                let row = transitions[state * boundaries.count..<(state + 1) * boundaries.count]
                isLive[state] = row.contains { isLive[Int($0)] }
                hasChanged = hasChanged || isLive[state]
            }
        }
        return isLive
    }

    /// Whether all characters of a kind are among these.
    private func isSubset(_ kind: Int, of scalars: ScalarSet) -> Bool {
        let last = kind + 1 < boundaries.count ? boundaries[kind + 1] - 1 : ScalarSet.last
        return scalars.ranges.contains { $0.contains(boundaries[kind]) && $0.contains(last) }
    }
}
