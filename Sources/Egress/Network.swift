/// Addresses that begin alike (RFC 4632): `192.0.2.0/24`, `2001:db8::/32`, or a single one.
public struct Network: Sendable, Hashable, CustomStringConvertible {
    private let bits: UInt128
    /// Of the 128.
    private let length: Int
    /// As it was written.
    public let description: String

    /// Reads one; `nil` where bits are set behind the prefix, which is mostly a slip of the pen.
    public init?(_ text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard (1...2).contains(parts.count), let address = IPAddress(String(parts[0])) else { return nil }
        // Who writes an address of IPv4 in the form of IPv6 counts its prefix in that form, too.
        let width = parts[0].contains(":") ? 128 : 32
        var length = width
        if parts.count == 2 {
            guard parts[1].utf8.allSatisfy({ (0x30...0x39).contains($0) }), let given = Int(parts[1]), given <= width
            else { return nil }
            length = given
        }
        bits = address.bits
        self.length = 128 - width + length
        description = text
        guard bits & ~mask == 0 else { return nil }
    }

    /// Whether it is one address.
    public var isSingleAddress: Bool { length == 128 }

    private var mask: UInt128 { length == 0 ? 0 : ~0 << UInt128(128 - length) }

    /// Whether an address is within it. One of IPv4 is in no network of IPv6, also not in `::/0`.
    public func contains(_ address: IPAddress) -> Bool {
        isIPv4 == address.isIPv4 && (address.bits ^ bits) & mask == 0
    }

    private var isIPv4: Bool { length >= 96 && bits >> 32 == 0xffff }
}
