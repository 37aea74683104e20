/// A currency in use, by its ISO 4217 code.
public struct Currency: Hashable, Sendable {
    /// The three letters of the code, one per byte, the first letter highest.
    private let letters: UInt32
    /// How many decimals the currency's minor unit has: 0 for JPY, 2 for EUR, 3 for KWD.
    public let exponent: UInt8

    /// The Japanese yen, the currency of the PMS.
    public static let jpy = Currency("JPY")!
    /// The euro.
    public static let eur = Currency("EUR")!
    /// The dollar of the United States.
    public static let usd = Currency("USD")!

    /// A currency by its three capital letters; nil if ISO 4217 (list one, without funds and metals) has no such code.
    public init?(_ code: some StringProtocol) {
        guard let letters = Currency.pack(code.utf8), let exponent = Currency.exponents[letters] else { return nil }
        self.letters = letters
        self.exponent = exponent
    }

    /// The three capital letters of the code.
    public var code: String {
        let bytes = [UInt8(letters >> 16 & 0xFF), UInt8(letters >> 8 & 0xFF), UInt8(letters & 0xFF)]
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func pack(_ code: some Collection<UInt8>) -> UInt32? {
        guard code.count == 3 else { return nil }
        return code.reduce(0) { $0 << 8 | UInt32($1) }
    }

    private static let exponents: [UInt32: UInt8] = {
        var exponents: [UInt32: UInt8] = [:]
        for (exponent, codes) in codesByExponent {
            for code in codes.split(whereSeparator: \.isWhitespace) {
                exponents[pack(code.utf8)!] = exponent
            }
        }
        return exponents
    }()

    /// ISO 4217 list one without funds, metals and test codes, as of 2026 (BGN and ANG have ended).
    private static let codesByExponent: [(UInt8, String)] = [
        (0, "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF"),
        (3, "BHD IQD JOD KWD LYD OMR TND"),
        (
            2,
            """
            AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY COP CRC
            CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR
            JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD
            NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN
            SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG
            """
        ),
    ]
}

extension Currency: CustomStringConvertible {
    /// The code.
    public var description: String { code }
}
