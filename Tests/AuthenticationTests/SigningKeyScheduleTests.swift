import Testing

@testable import Authentication

@Suite("How signing keys follow one another")
struct SigningKeyScheduleTests {
    private static let terms = SigningKeySchedule.Terms(rotation: 1000, lead: 100, overlap: 50)

    /// Does what is due until nothing is, as a bridge does at every look.
    private func settle(_ schedule: inout SigningKeySchedule, at now: Int64, _ number: inout Int) {
        for _ in 0..<10 {
            guard let step = schedule.due(at: now, Self.terms) else { return }
            if case .make = step { number += 1 }
            schedule.take(step, id: "key-\(number)", at: now)
        }
        Issue.record("there is always something due")
    }

    @Test("The first start makes one key that signs and one that follows it")
    func first() {
        var (schedule, number) = (SigningKeySchedule(), 0)
        #expect(schedule.due(at: 0, Self.terms) == .make(.current))
        settle(&schedule, at: 0, &number)
        #expect(schedule.keys.map(\.state) == [.current, .next])
        #expect(schedule.due(at: 999, Self.terms) == nil)
        #expect(schedule.secondsLeft(at: 900, Self.terms) == 100)
    }

    @Test("After its time another signs, and the old one is published as long as its tokens live")
    func rotation() {
        var (schedule, number) = (SigningKeySchedule(), 0)
        settle(&schedule, at: 0, &number)
        #expect(schedule.due(at: 1000, Self.terms) == .rotate)
        settle(&schedule, at: 1000, &number)
        #expect(schedule.keys.map(\.id) == ["key-1", "key-2", "key-3"])
        #expect(schedule.keys.map(\.state) == [.previous, .current, .next])
        #expect(schedule.due(at: 1049, Self.terms) == nil)
        #expect(schedule.due(at: 1050, Self.terms) == .drop("key-1"))
    }

    @Test("A key that was not published for long enough waits before it signs")
    func lead() {
        let schedule = SigningKeySchedule([
            .init(id: "a", state: .current, madeAt: 0, since: 0), .init(id: "b", state: .next, madeAt: 950, since: 950),
        ])
        #expect(schedule.due(at: 1049, Self.terms) == nil)
        #expect(schedule.due(at: 1050, Self.terms) == .rotate)
    }

    @Test("Where the current key was withdrawn the next one signs at once")
    func withdrawn() {
        let schedule = SigningKeySchedule([.init(id: "b", state: .next, madeAt: 0, since: 0)])
        #expect(schedule.due(at: 1, Self.terms) == .rotate)
    }

    /// A token, by the key that signed it.
    private struct Token {
        let key: String
        let expiry: Int64
    }

    @Test("At every moment exactly one key signs, what has signed was published before, and what lives can be checked")
    func always() {
        let seed = UInt64.random(in: 0 ... .max)
        var random = Generator(seed)
        for _ in 0..<50 {
            var (schedule, number, now) = (SigningKeySchedule(), 0, Int64(0))
            settle(&schedule, at: now, &number)
            let firstKey = schedule.current!.id
            var tokens: [Token] = []
            var publishedAt: [String: Int64] = Dictionary(uniqueKeysWithValues: schedule.keys.map { ($0.id, 0) })
            for _ in 0..<400 {
                // A bridge may be away for long, or look again at once.
                now += [0, 1, 7, 60, 400, 3000].randomElement(using: &random)!
                // A rotation by hand, of a key that was published for long enough.
                if Int.random(in: 0..<40, using: &random) == 0, let next = schedule.next,
                    now - next.since >= Self.terms.lead
                {
                    schedule.take(.rotate, id: "", at: now)
                }
                // Somebody removes the next key: another one is made, which must wait its time.
                if Int.random(in: 0..<20, using: &random) == 0, let next = schedule.next {
                    schedule.take(.drop(next.id), id: "", at: now)
                }
                settle(&schedule, at: now, &number)
                for key in schedule.keys where publishedAt[key.id] == nil { publishedAt[key.id] = now }
                let signing = schedule.keys.filter { $0.state == .current }
                #expect(signing.count == 1, "seed \(seed)")
                #expect(schedule.keys.count { $0.state == .next } == 1, "seed \(seed)")
                let current = signing[0]
                #expect(
                    current.id == firstKey || now - publishedAt[current.id]! >= Self.terms.lead,
                    "seed \(seed): \(current) signs too soon")
                tokens.removeAll { $0.expiry <= now }
                let published = Set(schedule.keys.map(\.id))
                #expect(tokens.allSatisfy { published.contains($0.key) }, "seed \(seed)")
                #expect(schedule.keys.allSatisfy { $0.state != .previous || now - $0.since < Self.terms.overlap })
                tokens.append(
                    Token(key: current.id, expiry: now + Int64.random(in: 1...Self.terms.overlap, using: &random)))
            }
        }
    }
}

extension SigningKeySchedule {
    /// What the bridge's statements make of the keys by a step.
    ///
    /// - Parameter id: the name of the key that is made, for a step that makes one.
    fileprivate mutating func take(_ step: Step, id: String, at now: Int64) {
        var keys = self.keys
        switch step {
        case .make(let state): keys.append(Key(id: id, state: state, madeAt: now, since: now))
        case .drop(let id): keys.removeAll { $0.id == id }
        case .rotate:
            for index in keys.indices {
                switch keys[index].state {
                case .current: keys[index].state = .previous
                case .next: keys[index].state = .current
                case .previous: continue
                }
                keys[index].since = now
            }
        }
        self = SigningKeySchedule(keys)
    }
}

/// SplitMix64, so that a printed seed gives the same numbers again.
struct Generator: RandomNumberGenerator {
    private var state: UInt64

    init(_ seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
