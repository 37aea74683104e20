import Authentication
import Testing

@testable import Installation

@Suite("What drawbridge token takes")
struct RevokedTokenTests {
    @Test("The end of a revocation is a token's exp, a date or an instant in UTC")
    func ends() {
        #expect(RevokedTokens.End("1798761600") == .seconds(1_798_761_600))
        #expect(RevokedTokens.End("2027-01-10") == .instant("2027-01-10"))
        #expect(RevokedTokens.End("2027-01-10T12:00:00Z") == .instant("2027-01-10T12:00:00Z"))
        for text in [
            "", "soon", "-1", "999999999999999", "2027-01-10T12:00:00+09:00", "2027-1-1", "2027-01-10; DROP",
            "infinity", "2027-02-30", "2027-02-30T00:00:00Z", "2027-01-10T24:00:00Z", "0000-01-01",
        ] { #expect(RevokedTokens.End(text) == nil, "\(text)") }
    }

    @Test("A token's id has 1 to 255 bytes, no control characters among them")
    func ids() {
        for text in ["a", "a b|c'\"", String(repeating: "é", count: 127)] { #expect(TokenRevocations.isTokenID(text)) }
        for text in ["", "a\nb", "\u{7F}", String(repeating: "é", count: 128)] {
            #expect(!TokenRevocations.isTokenID(text))
        }
    }
}
