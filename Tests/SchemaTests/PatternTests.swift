import TestSupport
import Testing

@testable import Schema

@Suite("Patterns")
struct PatternTests {
    @Test(
        "match what ECMA-262 says",
        arguments: [
            ("^a*$", ["", "a", "aaa"], ["b", "ab", "ba"]), ("a|b", ["a", "xbx"], ["", "c"]), ("^$", [""], ["a"]),
            ("", ["", "a"], []), ("^(ab)+$", ["ab", "abab"], ["", "aba"]), ("^a{2,3}$", ["aa", "aaa"], ["a", "aaaa"]),
            ("^a{2}$", ["aa"], ["a", "aaa"]), ("^a{2,}b", ["aab", "aaaabx"], ["ab"]),
            ("^[a-c]$", ["a", "c"], ["d", "-"]),
            ("^[^a-c]$", ["d", "é", "😀"], ["a", "", "dd"]), ("^[a\\-c]$", ["a", "-", "c"], ["b"]),
            ("^[-a]$", ["-", "a"], ["b"]),
            ("^[a-]$", ["-", "a"], ["b"]), ("^.$", ["a", "é", "😀"], ["", "\n", "ab"]),
            ("^\\d+$", ["0", "19"], ["", "٣"]),
            ("^\\w$", ["a", "_", "9"], ["é", "-"]), ("^\\S+$", ["a"], ["a b", "\u{3000}"]),
            ("^[\\s\\d]+$", ["1 2"], ["a"]),
            ("^\\u3042$", ["あ"], ["い"]), ("^\\u{1F600}$", ["😀"], ["a"]), ("^[ぁ-ん]+$", ["あん"], ["ア", ""]),
            ("^\\x41\\.$", ["A."], ["Ax"]), ("^(?:a|b)*?c$", ["c", "abac"], ["ab"]),
            ("^(a|ab)(c|bcd)$", ["abcd", "ac", "abc"], ["abbc"]),
            ("b$", ["ab", "b"], ["ba"]), ("^(|a)$", ["", "a"], ["b"]), ("(^a|b$)", ["ax", "xb"], ["xa", "bx"]),
            ("a^b", [], ["ab", "a^b"]),
            ("$^", [""], ["a"]), ("^\\/\\[\\]$", ["/[]"], []), ("^(a*)*$", ["", "aa"], ["b"]), ("[]", [], ["", "a"]),
            ("^[^]$", ["a", "\n"], [""]),
            (
                "^([1-9][0-9]{0,9}h([1-9][0-9]{0,9})?|h[1-9][0-9]{0,9})$", ["1h5", "h169", "3h"],
                ["h", "0h", "1h0", "1h5x", "12345678901h"]
            ),
            ("^[!-~]+$", ["a!~"], ["", "a b", "é"]), ("^[+]?[0-9 ().-]+$", ["+81 (3) 1-2"], ["call me", ""]),
        ] as [(String, [String], [String])])
    func matching(pattern: String, yes: [String], no: [String]) throws {
        let compiled = try Pattern(pattern)
        for text in yes { #expect(compiled.matches(Array(text.utf8)[...]), "\(text)") }
        for text in no { #expect(!compiled.matches(Array(text.utf8)[...]), "\(text)") }
    }

    @Test(
        "that cannot be matched in one pass, or mean nothing, are refused",
        arguments: [
            "(a)\\1", "(?=a)", "(?!a)", "(?<=a)", "(?<n>a)", "\\bword", "\\p{L}", "*a", "a**", "a{1", "a{2,1}", "a{x}",
            "(", ")", "[a",
            "[z-a]", "[\\d-x]", "\\", "\\q", "^*", "a{2001}", "((a{1000}){1000}){9}", "[[a]]", "\\u12", "\\ud800",
            "(a|b)*a(a|b){20}",
            String(repeating: "(", count: 40) + String(repeating: ")", count: 40),
        ])
    func refused(pattern: String) { #expect(throws: PatternError.self) { try Pattern(pattern) } }

    @Test(
        "take time in proportion to the text, whatever they are", .timeLimit(.minutes(1)),
        arguments: ["^(a+)+$", "^(a|a)*$", "^(a|aa)+$", "(.*)(.*)(.*)x$"])
    func linear(pattern: String) throws {
        let text = [UInt8](repeating: UInt8(ascii: "a"), count: 1 << 20) + [UInt8(ascii: "!")]
        #expect(try !Pattern(pattern).matches(text[...]))
    }

    /// Texts made of few letters, so that matches happen.
    @Test("agree with the standard library's engine on random texts")
    func comparison() throws {
        var random = SeededNumbers(seed: 3)
        let atoms = ["a", "b", ".", "[ab]", "[^a]", "(a|b)", "(ab|c)", "(?:a|)", "c", "é"]
        let quantifiers = ["", "", "*", "+", "?", "{2}", "{0,2}"]
        for _ in 0..<200 {
            let body = (0..<Int.random(in: 1...4, using: &random)).map { _ in
                atoms.randomElement(using: &random)! + quantifiers.randomElement(using: &random)!
            }.joined()
            let pattern = (Bool.random(using: &random) ? "^" : "") + body + (Bool.random(using: &random) ? "$" : "")
            let own = try Pattern(pattern)
            let other = try Regex(pattern).matchingSemantics(.unicodeScalar)
            for _ in 0..<20 {
                let text = String(
                    (0..<Int.random(in: 0...7, using: &random)).map { _ in "abcé".randomElement(using: &random)! })
                #expect(
                    own.matches(Array(text.utf8)[...]) == (text.firstMatch(of: other) != nil), "\(pattern) on \(text)")
            }
        }
    }
}
