import Loop
import TestSupport
import Testing

@testable import RateLimit

@Suite struct QuotaTests {
    @Test(
        "In no span of time are more than burst plus rate allowed, and no fewer than a naive model allows",
        arguments: 0..<40)
    func bound(seed: UInt64) {
        var random = SeededNumbers(seed: seed)
        let quota = Quota(
            burst: .random(in: 1...20, using: &random), requests: .random(in: 1...1000, using: &random),
            per: .milliseconds(.random(in: 1...5000, using: &random)))!
        var instant: UInt64 = 0
        var now = UInt64.random(in: 0...1 << 62, using: &random)
        var model = LeakyBucket(quota: quota, at: now)
        var allowed: [UInt64] = []
        for _ in 0..<2000 {
            now += .random(in: 0...quota.interval * 2 * .random(in: 0...1, using: &random), using: &random)
            let decision = quota.decide(instant, at: now)
            #expect(decision.isAllowed == model.take(at: now))
            instant = decision.next
            if decision.isAllowed { allowed.append(now) }
        }
        for (index, first) in allowed.enumerated() {
            for last in index..<min(allowed.count, index + 100) {
                let bound = UInt64(quota.burst) + (allowed[last] - first) / quota.interval
                #expect(UInt64(last - index + 1) <= bound)
            }
        }
    }

    @Test("No instant, clock or quota overflows")
    func extremes() {
        let words: [UInt64] = [0, 1, 1 << 53, .max / 2 - 1, .max / 2, .max / 2 + 1, .max - 1, .max]
        for quota in [
            Quota(burst: 1, requests: .max, per: .nanoseconds(1))!,
            Quota(burst: 1, requests: 1, per: Quota.longestWindow)!,
            Quota(burst: Int(Quota.longestWindowNanoseconds), requests: 1_000_000_000, per: .seconds(1))!,
        ] {
            for instant in words {
                for now in words {
                    let decision = quota.decide(instant, at: now)
                    #expect(decision.backlog <= quota.window)
                    _ = quota.takeBack(instant, begin: now, at: words[3])
                    let state = LimitState(
                        LimitClass(name: "x", quota: quota, partition: [])!, before: decision.backlog, isCharged: true)
                    #expect((0...quota.burst).contains(state.remaining) && state.untilNext <= quota.window)
                }
            }
        }
    }

    @Test(
        "A quota that is empty, endless or overflows is refused",
        arguments: [
            (0, 1, Duration.seconds(1)), (-1, 1, .seconds(1)), (1, 0, .seconds(1)), (1, .min, .seconds(1)),
            (1, 1, .zero), (1, 1, .seconds(-1)), (2, 1, Quota.longestWindow), (.max, 1, .seconds(1)),
            (1, 1, .seconds(Int64.max)),
        ])
    func refused(burst: Int, requests: Int, period: Duration) {
        #expect(Quota(burst: burst, requests: requests, per: period) == nil)
    }

    @Test("A rate that does not divide its period is rounded down, never up")
    func rounding() {
        #expect(Quota(burst: 1, requests: 3, per: .seconds(1))?.interval == 333_333_334)
    }

    @Test("A damaged instant keeps its client waiting for one window at most")
    func damage() {
        let quota = Quota(burst: 2, requests: 1, per: .seconds(1))!
        let decision = quota.decide(.max, at: 1000)
        #expect(!decision.isAllowed && decision.next == 1000 + quota.window)
    }

    @Test("A process whose clock is behind does not shorten what others wait")
    func staleClock() {
        let quota = Quota(burst: 1, requests: 1, per: .seconds(1))!
        let full = quota.decide(0, at: 5_000_000_000).next
        #expect(quota.decide(full, at: 4_000_000_000).next == full)
    }

    @Test(
        "SipHash gives the authors' test vectors",
        arguments: [
            (0, 0x726f_db47_dd0e_0e31), (1, 0x74f8_39c5_93dc_67fd), (15, 0xa129_ca61_49be_45e5 as UInt64),
        ])
    func sipHash(length: Int, hash: UInt64) {
        // Appendix A of the paper and vectors.h of its reference code: key 00…0f, message 00, 01, ….
        let sip = SipHash(key: (0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908))
        #expect(sip((0..<length).map { UInt8($0) }) == hash)
    }

    @Test(
        "Addresses of IPv6 count by /64, mapped ones as IPv4",
        arguments: [
            ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", true), ("2001:db8:1:2::1", "2001:db8:1:3::1", false),
            ("::ffff:192.0.2.1", "192.0.2.1", true), ("192.0.2.1", "192.0.2.2", false), ("::", "0.0.0.0", false),
            ("fe80::1%eth0", "fe80::2", true),
        ])
    func addresses(one: String, other: String, areSame: Bool) {
        let (one, other) = (AddressBlock(one), AddressBlock(other))
        #expect(one != nil && other != nil && (one == other) == areSame)
    }

    @Test("What is no address is none", arguments: ["", "localhost", "192.0.2", "1.2.3.4.5", "::g", "[::1]"])
    func noAddress(text: String) { #expect(AddressBlock(text) == nil) }

    @Test("Values cannot run over into each other, and what is missing applies no limit")
    func keys() {
        let both = limit(by: [.principal, .hotel])
        let one = both.charge(for: Subject(principal: "a", hotel: "bc"))
        let other = both.charge(for: Subject(principal: "ab", hotel: "c"))
        #expect(one?.key != other?.key)
        #expect(both.charge(for: Subject(principal: "a")) == nil)
    }

    @Test("The fields are those of the draft; Retry-After is never less than t")
    func fields() {
        let charges = [
            limit("burst", burst: 100, requests: 100, per: .seconds(60)),
            limit("daily", burst: 10, requests: 10, per: .seconds(86_400)),
        ]
        .map { $0.charge("x") }
        let fresh = Verdict.make(charges, backlogs: [0, 0])
        #expect(fresh.policyField == "\"burst\";q=100;w=60, \"daily\";q=10;w=86400")
        #expect(fresh.limitField == "\"daily\";r=9;t=8640" && fresh.retryAfter == nil)
        let refused = Verdict.make(charges, backlogs: [60_000_000_000, 0])
        #expect(refused.limitField == "\"burst\";r=0;t=1" && refused.retryAfter == 1)
        #expect(refused.violatedPolicies == ["burst"] && !refused.isAllowed)
        #expect(Verdict.make([], backlogs: []).limitField == nil)
    }

    @Test("Of a class on which two stores decided, the tighter state counts, and the class is named once")
    func merging() {
        let (a, b, c) = (limit("a").charge("x"), limit("b").charge("x"), limit("c").charge("x"))
        let table = Verdict.make([a, b], backlogs: [20_000_000_000, 0])
        let redis = Verdict.make([b, a, c], backlogs: [10_000_000_000, 10_000_000_000, 0])
        let merged = table.merged(with: redis)
        #expect(merged.policyField == "\"a\";q=3;w=30, \"b\";q=3;w=30, \"c\";q=3;w=30")
        #expect(merged.states.map(\.remaining) == [0, 1, 2] && merged.isAllowed)
        #expect(redis.merged(with: table).states.map(\.remaining) == [1, 0, 2])
        let refused = table.merged(with: .make([b, a], backlogs: [30_000_000_000, 0]))
        #expect(refused.violatedPolicies == ["b"] && !refused.isAllowed)
    }
}

/// The same rule written as one would explain it: a bucket that leaks one interval's worth of nanoseconds per
/// nanosecond.
private struct LeakyBucket {
    let quota: Quota
    var level: UInt64 = 0
    var last: UInt64

    init(quota: Quota, at now: UInt64) {
        self.quota = quota
        last = now
    }

    mutating func take(at now: UInt64) -> Bool {
        level -= min(level, now - last)
        last = now
        guard level + quota.interval <= UInt64(quota.burst) * quota.interval else { return false }
        level += quota.interval
        return true
    }
}

extension Verdict {
    /// The value of one field.
    private func field(_ name: String) -> String? {
        var bytes: [UInt8] = []
        appendFieldLines(to: &bytes)
        let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\r\n")
        return lines.first { $0.hasPrefix("\(name): ") }.map { String($0.dropFirst(name.count + 2)) }
    }

    fileprivate var policyField: String? { field("RateLimit-Policy") }
    fileprivate var limitField: String? { field("RateLimit") }
}
