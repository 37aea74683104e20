import TestSupport
import Testing

@testable import Webhook

@Suite struct RetryAfterTests {
    private static let now: Int64 = 1_800_000_000  // Fri, 15 Jan 2027 08:00:00 GMT

    private func delay(_ value: String) -> Duration? {
        RetryAfter.delay(value, now: Self.now, longest: .seconds(3600))
    }

    @Test(
        "Seconds and dates are read, and cut to the longest",
        arguments: [
            ("0", 0), ("120", 120), ("007", 7), (" 120\t", 120), ("3600", 3600), ("3601", 3600),
            ("99999999999999999999999999999999", 3600), ("Fri, 15 Jan 2027 08:02:00 GMT", 120),
            ("Friday, 15-Jan-27 08:02:00 GMT", 120), ("Fri Jan 15 08:02:00 2027", 120),
            ("Fri, 15 Jan 2027 07:00:00 GMT", 0), ("Mon, 01 Jan 1900 00:00:00 GMT", 0),
            ("Fri, 31 Dec 9999 23:59:59 GMT", 3600),
        ])
    func read(value: String, seconds: Int) { #expect(delay(value) == .seconds(seconds)) }

    @Test(
        "What is neither says nothing",
        arguments: [
            "", " ", "\t", "-1", "+1", "1.5", "1e3", "0x10", "12 0", "120,60", "１２０", "soon", "PT2M", "\u{0}", "120\n",
            "Fri, 15 Jan 2027 08:02:00", "2027-01-15T08:02:00Z",
        ])
    func nothing(value: String) { #expect(delay(value) == nil) }

    @Test("Whatever a receiver sends, the answer is within bounds", arguments: 0..<40) func hostile(seed: UInt64) {
        var random = SeededNumbers(seed: seed)
        let pieces = [
            "0", "9", "Fri", ",", " ", "15", "Jan", "-", ":", "2027", "08:02:00", "GMT", "é", "\u{301}", "\r\n",
        ]
        for _ in 0..<500 {
            let value = (0..<Int.random(in: 0...9, using: &random))
                .map { _ in pieces.randomElement(using: &random)! }.joined(
                    separator: ["", " "].randomElement(using: &random)!)
            for now in [.min, -1, 0, Self.now, .max] {
                if let delay = RetryAfter.delay(value, now: now, longest: .seconds(9)) {
                    #expect(delay >= .zero && delay <= .seconds(9))
                }
            }
        }
    }
}
