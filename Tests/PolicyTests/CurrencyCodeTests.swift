import Stay
import Testing

@testable import Policy

@Suite("Currencies in a policy")
struct CurrencyCodeTests {
    @Test("A policy may name the currencies that the bridge knows, and no others")
    func same() {
        let letters = UInt8(ascii: "A")...UInt8(ascii: "Z")
        for first in letters {
            for second in letters {
                for third in letters {
                    let code = String(decoding: [first, second, third], as: UTF8.self)
                    #expect(CurrencyCode.isKnown(code) == (Currency(code) != nil), "\(code)")
                }
            }
        }
    }
}
