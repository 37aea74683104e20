/// What may be reached although it is no place on the internet: an installation's own machines, named one by one.
public struct AllowList: Sendable, Hashable {
    /// Addresses, whoever's name leads there.
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
}
