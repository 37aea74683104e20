import Cryptography
import Testing

@testable import Authentication

/// The life of what an issuer publishes, on a clock that the test moves.
@Suite("Key sets while they are kept fresh")
struct PublishedKeySetsTests {
    private static let second: UInt64 = 1_000_000_000

    private static func terms(refresh: Int = 900, overlap: Int = 600) -> PublishedKeySets.Terms {
        PublishedKeySets.Terms(algorithms: [.es256], refresh: .seconds(refresh), overlap: .seconds(overlap))
    }

    /// A set with one key of that id.
    private static func keySet(_ id: String) -> [UInt8] {
        Array(
            #"{"keys":[{"kty":"EC","crv":"P-256","kid":"\#(id)","x":"\#(RFC7515.x)","y":"\#(RFC7515.y)"}]}"#.utf8)
    }

    private func text(_ id: String) -> String { String(decoding: Self.keySet(id), as: UTF8.self) }

    /// A reference, so that what is expected may change it; at seconds of the test's clock.
    private final class Life {
        var sets: PublishedKeySets

        init(_ terms: PublishedKeySets.Terms) { sets = PublishedKeySets(terms) }

        var ids: [String] { (1...7).map(String.init).filter { sets.holds($0) } }

        /// Takes a set that is to be looked at again after a minute.
        func take(_ id: String, at time: UInt64) throws -> Bool {
            let content = PublishedKeySetsTests.keySet(id)
            return try sets.take(content, lookingAgainAfter: .seconds(60), now: time * PublishedKeySetsTests.second)
                != nil
        }

        func dropEnded(at time: UInt64) -> Bool { sets.dropEnded(now: time * PublishedKeySetsTests.second) }
        func learn(_ text: String, at time: UInt64) -> Bool {
            sets.learn(text, now: time * PublishedKeySetsTests.second)
        }
    }

    @Test(
        "A set is looked at again after four fifths of the time for which it is fresh, which the policy bounds",
        arguments: [(nil, 900, 720), (300, 900, 240), (86_400, 900, 720), (0, 900, 48), (5, 10, 8), (nil, 10, 8)]
            as [(Int?, Int, Int)])
    func ahead(maximumAge: Int?, refresh: Int, expected: Int) {
        let sets = PublishedKeySets(Self.terms(refresh: refresh))
        #expect(sets.interval(maximumAge: maximumAge) == .seconds(expected))
    }

    @Test("The next look is due when it was asked for, and soon after a failure, then ever later")
    func due() throws {
        let life = Life(Self.terms())
        #expect(life.sets.due == 0)
        #expect(try life.take("1", at: 100))
        #expect(life.sets.due == 160 * Self.second)
        var waits: [UInt64] = []
        for _ in 0..<8 {
            life.sets.failed(now: 200 * Self.second)
            waits.append(life.sets.due / Self.second - 200)
        }
        #expect(waits == [1, 2, 4, 8, 16, 32, 60, 60])
        #expect(life.ids == ["1"], "a failure takes no key away")
        #expect(try !life.take("1", at: 300), "nothing new")
        life.sets.failed(now: 400 * Self.second)
        #expect(life.sets.due == 401 * Self.second, "a success begins the waits anew")
    }

    @Test("What is no key set changes nothing")
    func malformed() throws {
        let life = Life(Self.terms())
        _ = try life.take("1", at: 0)
        let page = Array("<html>".utf8)
        #expect(throws: KeyRefusal.self) {
            _ = try life.sets.take(page, lookingAgainAfter: .seconds(60), now: Self.second)
        }
        #expect(life.ids == ["1"])
        #expect(life.sets.due == 60 * Self.second)
    }

    @Test("A key that has gone is believed for the overlap, and no longer")
    func overlap() throws {
        let life = Life(Self.terms(overlap: 600))
        _ = try life.take("1", at: 0)
        #expect(try life.take("2", at: 100))
        #expect(life.sets.keySets.count == 2 && life.sets.keySets.first == life.sets.current)
        #expect(!life.dropEnded(at: 699))
        #expect(life.ids == ["1", "2"])
        #expect(life.dropEnded(at: 700))
        #expect(life.ids == ["2"])
        #expect(!life.dropEnded(at: 900))
    }

    @Test("Without an overlap a key is gone with its set; with one, no more sets are kept than the bound")
    func bounds() throws {
        let (strict, loose) = (Life(Self.terms(overlap: 0)), Life(Self.terms()))
        for id in ["1", "2", "3", "4", "5", "6", "7"] {
            _ = try strict.take(id, at: 0)
            _ = try loose.take(id, at: 0)
        }
        #expect(strict.ids == ["7"])
        #expect(loose.ids == ["3", "4", "5", "6", "7"])
    }

    @Test("Found elsewhere, old keys overlap as any that have gone; a shorter overlap holds at once")
    func changes() throws {
        let life = Life(Self.terms(overlap: 600))
        _ = try life.take("1", at: 0)
        let former = life.sets
        life.sets = PublishedKeySets(Self.terms(overlap: 300))
        life.sets.succeed(former, now: 10 * Self.second)
        #expect(life.sets.due == 0 && life.sets.current == nil && life.ids == ["1"])
        _ = try life.take("2", at: 11)
        #expect(life.dropEnded(at: 310))
        #expect(life.ids == ["2"])
        // The runbook's way with a stolen key.
        _ = try life.take("3", at: 400)
        #expect(life.ids == ["2", "3"])
        life.sets.change(to: Self.terms(overlap: 0), now: 401 * Self.second)
        #expect(life.dropEnded(at: 401))
        #expect(life.ids == ["3"])
    }

    @Test("Nothing counts any more where sets were found in another place and the new one does not answer in time")
    func ended() throws {
        let life = Life(Self.terms())
        #expect(!life.sets.hasEnded, "nothing is known yet")
        _ = try life.take("1", at: 0)
        let former = life.sets
        func successor(overlap: Int) -> Life {
            let next = Life(Self.terms(overlap: overlap))
            next.sets.succeed(former, now: 10 * Self.second)
            return next
        }
        #expect(successor(overlap: 0).sets.hasEnded)
        let next = successor(overlap: 5)
        next.sets.failed(now: 11 * Self.second)
        #expect(!next.sets.hasEnded && next.ids == ["1"])
        #expect(next.dropEnded(at: 15))
        #expect(next.sets.hasEnded && next.ids == [])
        _ = try next.take("2", at: 16)
        #expect(!next.sets.hasEnded)

        // Taken back, what was known in the old place counts as it did.
        life.sets.succeed(next.sets, now: 17 * Self.second)
        #expect(life.ids == ["1", "2"])
        var restarted = PublishedKeySets(Self.terms())
        restarted.noteEarlierPlace()
        #expect(restarted.hasEnded)
    }

    @Test("What was known before the start counts until something newer is known")
    func recall() throws {
        let life = Life(Self.terms())
        #expect(!life.learn("no key set", at: 0))
        #expect(life.learn(text("1"), at: 0))
        #expect(life.sets.due == 0, "the issuer is asked all the same")
        #expect(try life.take("2", at: 1))
        #expect(life.ids == ["1", "2"])
    }

    @Test("What another process has found later counts, beside what it takes the place of, and changes no look")
    func learning() throws {
        let life = Life(Self.terms(overlap: 600))
        #expect(try life.take("1", at: 0))
        let due = life.sets.due
        #expect(life.learn(text("2"), at: 10))
        #expect(!life.learn(text("2"), at: 11), "nothing new")
        #expect(!life.learn("no key set", at: 12))
        #expect(life.sets.due == due && life.ids == ["1", "2"])
        #expect(life.dropEnded(at: 610))
        #expect(life.ids == ["2"])
    }
}
