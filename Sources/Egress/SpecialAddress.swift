/// Why an address is no place on the internet.
///
/// What the IANA registries of special-purpose addresses list (RFC 6890 and its successors, for IPv4 and IPv6, as of 2025),
/// whether or not they call it globally reachable: nobody receives webhooks there. Beside them the addresses at which cloud
/// providers answer with credentials to whoever asks from within.
public enum SpecialAddress: String, Sendable, CaseIterable {
    /// This very machine.
    case loopback
    /// RFC 1918.
    case `private`
    /// Between a provider and its customers, carrier-grade NAT (RFC 6598).
    case shared
    /// The private networks of IPv6 (RFC 4193), and the site-local ones that were before (RFC 3879).
    case uniqueLocal = "unique-local"
    /// On the same link alone (RFC 3927, RFC 4291).
    case linkLocal = "link-local"
    /// A cloud's metadata or credentials.
    case metadata
    /// No address at all, or one of a machine that does not know its own yet (RFC 791 §3.2).
    case unspecified
    /// Many at once.
    case multicast
    /// Everybody on the link.
    case broadcast
    /// For examples in texts (RFC 5737, RFC 3849, RFC 9637).
    case documentation
    /// For measuring between laboratories' machines (RFC 2544, RFC 5180).
    case benchmarking
    /// For protocols' own use: anycast, AS112, ORCHID, discarding.
    case protocolAssignment = "protocol assignment"
    /// IPv4 in an IPv6 address by a technology that leads who knows where: compatible addresses, 6to4, Teredo, and
    /// translation within one site (RFC 4291 §2.5.5.1, RFC 7526, RFC 4380, RFC 8215).
    case transition
    /// Nobody's yet.
    case reserved

    /// Whether a name that a policy allows may lead there. To the others leads no name that an administrator could
    /// mean: they are allowed as addresses or not at all.
    var isReachableByAllowedName: Bool {
        switch self {
        case .loopback, .private, .shared, .uniqueLocal: true
        default: false
        }
    }

    /// What speaks against an address; nil for one that is a place on the internet.
    init?(_ address: IPAddress) {
        if let entry = Self.table.first(where: { $0.network.contains(address) }) {
            self = entry.kind
        } else if address.isIPv4 || Self.globalUnicast.contains(address) {
            return nil
        } else {
            self = .reserved
        }
    }

    /// All that IANA has given away of IPv6 (RFC 4291 §2.4); whatever else is used has an entry of its own.
    private static let globalUnicast = Network("2000::/3")!

    /// The first that contains an address counts.
    private static let table: [(network: Network, kind: SpecialAddress)] = [
        // Amazon, Google, Azure, DigitalOcean and others; Amazon's containers; Azure's host; Alibaba; Oracle;
        // Scaleway.
        ("169.254.169.254", .metadata), ("169.254.170.2", .metadata), ("169.254.170.23", .metadata),
        ("168.63.129.16", .metadata), ("100.100.100.200", .metadata), ("192.0.0.192", .metadata),
        ("fd00:ec2::254", .metadata), ("fd00:ec2::23", .metadata), ("fd20:ce::254", .metadata),
        ("fd00:42::42", .metadata),

        ("0.0.0.0/8", .unspecified), ("10.0.0.0/8", .private), ("100.64.0.0/10", .shared), ("127.0.0.0/8", .loopback),
        ("169.254.0.0/16", .linkLocal), ("172.16.0.0/12", .private), ("192.0.0.0/24", .protocolAssignment),
        ("192.0.2.0/24", .documentation), ("192.31.196.0/24", .protocolAssignment),
        ("192.52.193.0/24", .protocolAssignment), ("192.88.99.0/24", .transition), ("192.168.0.0/16", .private),
        ("192.175.48.0/24", .protocolAssignment), ("198.18.0.0/15", .benchmarking),
        ("198.51.100.0/24", .documentation), ("203.0.113.0/24", .documentation), ("224.0.0.0/4", .multicast),
        ("255.255.255.255", .broadcast), ("240.0.0.0/4", .reserved),

        ("::", .unspecified), ("::1", .loopback), ("::/96", .transition), ("64:ff9b:1::/48", .transition),
        ("100::/64", .protocolAssignment), ("100:0:0:1::/64", .protocolAssignment), ("2001::/32", .transition),
        ("2001:2::/48", .benchmarking), ("2001::/23", .protocolAssignment), ("2001:db8::/32", .documentation),
        ("2002::/16", .transition), ("2620:4f:8000::/48", .protocolAssignment), ("3fff::/20", .documentation),
        ("5f00::/16", .protocolAssignment), ("fc00::/7", .uniqueLocal), ("fe80::/10", .linkLocal),
        ("fec0::/10", .uniqueLocal), ("ff00::/8", .multicast),
    ].map { (Network($0)!, $1) }
}
