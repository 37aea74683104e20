public import Egress

/// Which addresses may connect: `Policies/addresses.yaml`.
public struct AddressPolicy: Sendable, Equatable {
    /// What holds for every listener that clients use.
    public var everywhere: Lists
    /// What holds besides for single listeners, by their names.
    public var listeners: [String: Lists]

    /// Who is let in and who is not.
    public struct Lists: Sendable, Equatable {
        /// Where it is not empty, nobody else is let in.
        public var allowed: [Network] = []
        /// Never let in, also where allowed.
        public var denied: [Network] = []

        /// Lists that let everybody in.
        public init() {}

        /// Whether they let an address in.
        public func admit(_ address: IPAddress) -> Bool {
            !denied.contains { $0.contains(address) } && (allowed.isEmpty || allowed.contains { $0.contains(address) })
        }
    }

    /// Reads and checks `addresses.yaml`.
    ///
    /// - Parameters:
    ///   - file: the policy file.
    ///   - listeners: those that may be named; `nil` leaves that unchecked.
    /// - Throws: every mistake in the file at once.
    public static func load(_ file: String, listeners: [String]? = nil) throws(PolicyError) -> AddressPolicy {
        try PolicyFile.load(file) { root in root.mapping { AddressPolicy(reading: $0, known: listeners) } }
    }

    /// Whether a client at an address, in numbers, may use a listener. What is no address is let in where nobody has to
    /// be on a list.
    public func admits(_ address: String, listener: String) -> Bool {
        let lists = [everywhere] + (listeners[listener].map { [$0] } ?? [])
        // A zone has no meaning in a policy.
        guard let address = IPAddress(String(address.prefix { $0 != "%" })) else {
            return lists.allSatisfy { $0.allowed.isEmpty }
        }
        return lists.allSatisfy { $0.admit(address) }
    }

    private init(reading mapping: PolicyMapping, known: [String]?) {
        everywhere = Lists(reading: mapping)
        listeners = [:]
        for node in mapping.optional("listeners")?.elements() ?? [] {
            let read = node.mapping { ($0.text("name", expected: "a listener of gateway.yaml"), Lists(reading: $0)) }
            guard let (name, lists) = read else { continue }
            if let known, !known.contains(name) {
                node.refuse(expected: "one of the listeners \(known.joined(separator: ", "))", found: name)
            }
            if listeners.updateValue(lists, forKey: name) != nil {
                node.refuse(expected: "each listener once", found: "\(name) a second time")
            }
        }
    }
}

extension AddressPolicy.Lists {
    fileprivate init(reading mapping: PolicyMapping) {
        allowed = Network.list("allow", mapping)
        denied = Network.list("deny", mapping)
    }
}

extension Network {
    /// Those of a list that may be absent.
    static func list(_ key: String, _ mapping: PolicyMapping) -> [Network] {
        let form =
            "an address or network such as 192.0.2.7, 192.0.2.0/24, 2001:db8::/32, without bits behind its prefix"
        return (mapping.optional(key)?.elements() ?? []).compactMap { node in
            guard let text = node.text(form) else { return nil }
            let network = Network(text)
            if network == nil { node.refuse(expected: form) }
            return network
        }
    }
}
