internal import Glibc

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
        public func admit(_ address: Network) -> Bool {
            !denied.contains { $0.contains(address) } && (allowed.isEmpty || allowed.contains { $0.contains(address) })
        }
    }

    /// Addresses that begin alike (RFC 4632): `192.0.2.0/24`, `2001:db8::/32`, or a single one.
    public struct Network: Sendable, Hashable, CustomStringConvertible {
        /// In network byte order, IPv4 mapped into IPv6 (RFC 4291 §2.5.5.2).
        private let bits: UInt128
        /// Of the 128.
        private let length: Int
        /// As it was written.
        public let description: String

        /// Reads one; `nil` where bits are set behind the prefix, which is mostly a slip of the pen.
        public init?(_ text: String) {
            let parts = text.split(separator: "/", omittingEmptySubsequences: false)
            guard (1...2).contains(parts.count), let (bits, width) = Self.address(String(parts[0])) else { return nil }
            var length = width
            if parts.count == 2 {
                guard parts[1].utf8.allSatisfy({ (0x30...0x39).contains($0) }), let given = Int(parts[1]),
                    given <= width
                else { return nil }
                length = given
            }
            self.bits = bits
            self.length = 128 - width + length
            description = text
            guard bits & ~Self.mask(self.length) == 0 else { return nil }
        }

        /// An IPv4 address is one of the other family, whatever the prefix.
        private static func address(_ text: String) -> (UInt128, width: Int)? {
            if text.contains(":") {
                var address = in6_addr()
                guard inet_pton(AF_INET6, text, &address) == 1 else { return nil }
                return (withUnsafeBytes(of: address) { $0.reduce(0) { $0 << 8 | UInt128($1) } }, 128)
            }
            var address = in_addr()
            guard inet_pton(AF_INET, text, &address) == 1 else { return nil }
            return (0xffff << 32 | UInt128(UInt32(bigEndian: address.s_addr)), 32)
        }

        private static func mask(_ length: Int) -> UInt128 { length == 0 ? 0 : ~0 << UInt128(128 - length) }

        /// Whether another one is wholly within this one.
        public func contains(_ other: Network) -> Bool {
            isIPv4 == other.isIPv4 && other.length >= length && (other.bits ^ bits) & Self.mask(length) == 0
        }

        /// All of IPv6, `::/0`, is not to be taken for all there is.
        private var isIPv4: Bool { length >= 96 && bits >> 32 == 0xffff }
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
        guard let network = Network(String(address.prefix { $0 != "%" })) else {
            return lists.allSatisfy { $0.allowed.isEmpty }
        }
        return lists.allSatisfy { $0.admit(network) }
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
        allowed = Self.networks("allow", mapping)
        denied = Self.networks("deny", mapping)
    }

    private static func networks(_ key: String, _ mapping: PolicyMapping) -> [AddressPolicy.Network] {
        let form =
            "an address or network such as 192.0.2.7, 192.0.2.0/24, 2001:db8::/32, without bits behind its prefix"
        return (mapping.optional(key)?.elements() ?? []).compactMap { node in
            guard let text = node.text(form) else { return nil }
            let network = AddressPolicy.Network(text)
            if network == nil { node.refuse(expected: form) }
            return network
        }
    }
}
