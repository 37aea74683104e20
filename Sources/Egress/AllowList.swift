/// What may be reached although it is no place on the internet: an installation's own machines, named one by one.
public struct AllowList: Sendable, Hashable {
    /// Addresses, whoever's name leads there. The metadata and credentials of clouds are only allowed by an address of their
    /// own: whoever allows a network does not mean them. What is reached through NAT64 is written as the IPv4 address that it
    /// is.
    public var networks: [Network] = []
    /// Names in lower case, wherever they lead within this machine and private networks.
    public var hosts: Set<String> = []

    /// Nothing.
    public init() {}

    /// Addresses, networks and hosts' names; nil where one of them is neither.
    public init?(_ entries: [String]) {
        for entry in entries where !add(entry) { return nil }
    }

    /// Adds an address, a network or a host's name. Returns whether it is one.
    public mutating func add(_ entry: String) -> Bool {
        if let network = Network(entry) {
            networks.append(network)
        } else if case .name(let name)? = Host(entry) {
            hosts.insert(name)
        } else {
            return false
        }
        return true
    }

    /// Whether an address that is no place on the internet may be reached by a name, or in numbers.
    func allows(_ address: IPAddress, of kind: SpecialAddress, name: String) -> Bool {
        networks.contains { $0.contains(address) && (kind != .metadata || $0.isSingleAddress) }
            || kind.isReachableByAllowedName && hosts.contains(name)
    }
}
