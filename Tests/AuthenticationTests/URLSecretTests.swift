import Testing

@testable import Authentication

@Suite("Secrets in an address")
struct URLSecretTests {
    private static let (first, second) = ("0123456789abcdef01234567", "A-Z._~" + String(repeating: "z", count: 20))
    private let secret = URLSecret([Array(first.utf8), Array(second.utf8)])

    private func refusal(_ query: String?) throws -> AuthenticationError.Code? {
        let secret = try #require(secret)
        do throws(AuthenticationError) {
            try secret.check(query.map { Array($0.utf8)[...] })
            return nil
        } catch { return error.code }
    }

    @Test("Either of two secrets is good, whatever else stands in the query", arguments: [first, second])
    func good(text: String) throws {
        #expect(try refusal("secret=\(text)") == nil)
        #expect(try refusal("a=1&secret=\(text)&b") == nil)
    }

    @Test(
        "Another one, none, or one that is there twice is not",
        arguments: [
            (nil, .missing), ("", .missing), ("other=\(first)", .missing), ("secret", .missing),
            ("secret=\(first)&secret=\(first)", .missing), ("secret=\(first)&secret=", .missing),
            ("secret=", .badSignature), ("secret=\(first)0", .badSignature),
            ("secret=\(first.dropLast())", .badSignature), ("secret=%30\(first.dropFirst())", .badSignature),
            ("Secret=\(first)", .missing),
        ] as [(String?, AuthenticationError.Code)])
    func bad(query: String?, code: AuthenticationError.Code) throws { #expect(try refusal(query) == code) }

    @Test("A secret that is short, long, or would have to be escaped is none")
    func form() {
        for text in ["x", String(repeating: "x", count: 23), String(repeating: "x", count: 257), "a b" + Self.first] {
            #expect(URLSecret([Array(Self.first.utf8), Array(text.utf8)]) == nil)
        }
    }
}
