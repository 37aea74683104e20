internal import Glibc

/// An address of IPv4 or IPv6.
///
/// One of IPv4 that is mapped into IPv6 (`::ffff:192.0.2.1`, RFC 4291 §2.5.5.2) is the one of IPv4: whoever connects to
/// the one reaches the other.
public struct IPAddress: Sendable, Hashable, CustomStringConvertible {
    /// In network byte order, IPv4 mapped into IPv6.
    let bits: UInt128

    /// Reads an address in its usual form: four decimal numbers without leading zeros, or RFC 4291 §2.2 without a zone.
    /// Other forms that some resolvers take (`127.1`, `0x7f000001`) are none.
    public init?(_ text: String) {
        var six = in6_addr()
        if inet_pton(AF_INET6, text, &six) == 1 {
            self.init(ipv6: withUnsafeBytes(of: six) { $0.reduce(0) { $0 << 8 | UInt128($1) } })
            return
        }
        var four = in_addr()
        guard inet_pton(AF_INET, text, &four) == 1 else { return nil }
        self.init(ipv4: UInt32(bigEndian: four.s_addr))
    }

    /// Of the number that the four bytes of IPv4 are in network byte order.
    public init(ipv4: UInt32) { bits = 0xffff << 32 | UInt128(ipv4) }

    /// Of the number that the sixteen bytes of IPv6 are in network byte order.
    public init(ipv6: UInt128) { bits = ipv6 }

    /// Whether it is one of IPv4.
    public var isIPv4: Bool { bits >> 32 == 0xffff }

    /// As it is usually written (RFC 5952), without brackets.
    public var description: String {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(INET6_ADDRSTRLEN)) { text in
            if isIPv4 {
                var four = in_addr(s_addr: UInt32(truncatingIfNeeded: bits).bigEndian)
                inet_ntop(AF_INET, &four, text.baseAddress!, socklen_t(text.count))
            } else {
                var six = bits.bigEndian
                inet_ntop(AF_INET6, &six, text.baseAddress!, socklen_t(text.count))
            }
            return String(cString: text.baseAddress!)
        }
    }
}
