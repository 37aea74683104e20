internal import Glibc

/// The addresses that count as one client: a single one of IPv4, a /64 of IPv6, because a subscriber gets at least that
/// many (RFC 6177) and could otherwise use a new one for each request.
public struct AddressBlock: Sendable, Hashable {
    /// The network's part in network byte order: 4 bytes of IPv4, or 8 of IPv6.
    public let network: UInt64
    /// Which of the two it is.
    public let isIPv6: Bool

    /// Reads an address in numbers. One of IPv4 that was mapped into IPv6 (`::ffff:192.0.2.1`) is the one of IPv4; a
    /// zone (`%eth0`) is not looked at.
    public init?(_ text: String) {
        let text = text.prefix { $0 != "%" }
        if text.contains(":") {
            var address = in6_addr()
            guard inet_pton(AF_INET6, String(text), &address) == 1 else { return nil }
            let bytes = withUnsafeBytes(of: address) { Array($0) }
            let isMapped = bytes[..<10].allSatisfy { $0 == 0 } && bytes[10] == 0xff && bytes[11] == 0xff
            network = (isMapped ? bytes[12...] : bytes[..<8]).reduce(0) { $0 << 8 | UInt64($1) }
            isIPv6 = !isMapped
        } else {
            var address = in_addr()
            guard inet_pton(AF_INET, String(text), &address) == 1 else { return nil }
            network = UInt64(UInt32(bigEndian: address.s_addr))
            isIPv6 = false
        }
    }
}
