/// Decides where the installation may be made to send something by somebody outside of it.
///
/// A URL says little: its name leads wherever its owner lets it, and elsewhere in the next moment. So `destination` refuses
/// what can be known to be wrong, and **each address is judged when it is connected to**, by `refusal(of:for:)`.
public struct EgressGuard: Sendable, Hashable {
    /// Whether a receiver may be sent to without TLS.
    public var allowsPlain = false
    /// The ports that may be sent to.
    public var ports: [ClosedRange<UInt16>] = [443...443, 1024...65535]
    /// What may be reached by everybody although it is no place on the internet.
    public var allowed = AllowList()
    /// What may be reached by nobody, although it is one, or is allowed.
    public var denied: [Network] = []

    /// HTTPS to places on the internet.
    public init() {}

    /// Examines a URL.
    ///
    /// - Parameter endpoint: what the endpoint it belongs to may reach besides.
    /// - Throws: `EgressRefusal` for a URL that nothing is sent to, whatever its name leads to.
    public func destination(
        _ url: String, allowing endpoint: AllowList = AllowList()
    ) throws(EgressRefusal) -> Destination {
        let address = try WebAddress(url)
        guard address.isSecure || allowsPlain else { throw EgressRefusal(.scheme, "http, and not https") }
        guard ports.contains(where: { $0.contains(address.port) }) else {
            throw EgressRefusal(.port, "port \(address.port)")
        }
        let destination = Destination(address, allowed: endpoint)
        switch address.host {
        case .address(let literal): if let refusal = refusal(of: literal, for: destination) { throw refusal }
        // Resolvers answer these names themselves (RFC 6761 §6.3).
        case .name(let name) where name == "localhost" || name.hasSuffix(".localhost"):
            let refusals = ["127.0.0.1", "::1"].compactMap { refusal(of: IPAddress($0)!, for: destination) }
            if refusals.count == 2 { throw refusals[0] }
        case .name: break
        }
        return destination
    }

    /// What speaks against sending to an address, wherever it comes from: to be asked each time before something is
    /// sent there.
    public func refusal(of address: IPAddress, for destination: Destination) -> EgressRefusal? {
        refusal(of: address, name: destination.host, endpoint: destination.allowed)
    }

    /// What speaks against connecting to an address to reach the proxy. One that is written in numbers is what it is; one
    /// with a name is judged as any other.
    public func refusal(of address: IPAddress, for proxy: ProxyAddress) -> EgressRefusal? {
        if case .address(let own) = proxy.web.host, own == address { return nil }
        return refusal(of: address, name: proxy.web.host.text, endpoint: AllowList())
    }

    private func refusal(of address: IPAddress, name: String, endpoint: AllowList) -> EgressRefusal? {
        let reached =
            Self.translation.contains(address) ? IPAddress(ipv4: UInt32(truncatingIfNeeded: address.bits)) : address
        if denied.contains(where: { $0.contains(reached) || $0.contains(address) }) {
            return EgressRefusal(address, nil)
        }
        guard let kind = SpecialAddress(reached) else { return nil }
        let isAllowed = [allowed, endpoint].contains { $0.allows(reached, of: kind, name: name) }
        return isAllowed ? nil : EgressRefusal(address, kind)
    }

    /// Machines that have IPv6 alone reach IPv4 so (NAT64, RFC 6052 §2.1); what is behind it decides.
    private static let translation = Network("64:ff9b::/96")!
}

/// Where something may be sent, as far as that can be known without connecting. Only `EgressGuard` makes one.
public struct Destination: Sendable, Hashable {
    /// The URL in one form of the many that mean the same: as it is to be sent to.
    public let url: String
    /// The name in lower case, or the address, in brackets if it is one of IPv6.
    public let host: String
    /// The port, also where the URL does not say it.
    public let port: UInt16
    /// What its endpoint may reach besides.
    public let allowed: AllowList

    init(_ address: WebAddress, allowed: AllowList) {
        url = address.text
        host = address.host.text
        port = address.port
        self.allowed = allowed
    }
}
