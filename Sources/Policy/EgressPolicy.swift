public import Egress

/// Where webhooks may be sent, and how: `Policies/egress.yaml`.
public struct EgressPolicy: Sendable, Hashable {
    /// Decides where.
    public var egressGuard: EgressGuard
    /// How.
    public var terms: SendingTerms

    /// Reads and checks `egress.yaml`; throws every mistake in it at once.
    ///
    /// - Parameter installation: the directory that relative paths start from.
    public static func load(_ file: String, installation: String) throws(PolicyError) -> EgressPolicy {
        let installation = InstallationDirectory(path: installation)
        return try PolicyFile.load(file) { root in
            root.mapping { EgressPolicy(reading: $0, installation: installation) }
        }
    }

    /// The same, and receivers on this machine, with and without TLS, on every port: for the demo alone.
    public func allowingPlainLoopback() -> EgressPolicy {
        var policy = self
        policy.egressGuard.allowsPlain = true
        policy.egressGuard.ports = [1...UInt16.max]
        for loopback in ["127.0.0.0/8", "::1"] { _ = policy.egressGuard.allowed.add(loopback) }
        return policy
    }

    private init(reading mapping: PolicyMapping, installation: InstallationDirectory) {
        egressGuard = EgressGuard(reading: mapping)
        terms = SendingTerms(reading: mapping, installation: installation)
    }
}

extension EgressGuard {
    fileprivate init(reading mapping: PolicyMapping) {
        self.init()
        if let node = mapping.optional("schemes") {
            allowsPlain = node.elements(atLeast: 1).compactMap { $0.choice(Scheme.self) }.contains(.http)
        }
        if let node = mapping.optional("ports") {
            ports = node.elements(atLeast: 1).compactMap { Self.ports($0) }
        }
        for node in mapping.optional("allow")?.elements() ?? [] {
            let form = "an address or network such as 10.20.0.0/16, without bits behind its prefix, or a host's name"
            if let text = node.text(form), !allowed.add(text) { node.refuse(expected: form) }
        }
        denied = Network.list("deny", mapping)
    }

    private enum Scheme: String, CaseIterable { case https, http }

    private static func ports(_ node: PolicyNode) -> ClosedRange<UInt16>? {
        let form = "a port such as 443, or several such as 1024-65535"
        guard let text = node.text(form) else { return nil }
        let ends = text.split(separator: "-", omittingEmptySubsequences: false).map { end in
            end.utf8.allSatisfy { (0x30...0x39).contains($0) } ? UInt16(end) : nil
        }
        guard (1...2).contains(ends.count), let first = ends[0], let last = ends[ends.count - 1], 0 < first,
            first <= last
        else {
            node.refuse(expected: form)
            return nil
        }
        return first...last
    }
}

extension SendingTerms {
    fileprivate init(reading mapping: PolicyMapping, installation: InstallationDirectory) {
        self.init()
        if let node = mapping.optional("proxy") {
            let form = "an HTTP proxy such as http://10.0.0.7:3128"
            proxy = node.text(form).flatMap { ProxyAddress($0) }
            if proxy == nil { node.refuse(expected: form) }
        }
        if mapping.optional("authorities") != nil {
            authoritiesFile = installation.existingFile(
                mapping, "authorities", expected: CertificateFiles.authoritiesForm)
        }
        self = mapping.mapping("deadlines", absent: self) { reading(deadlines: $0) }
        maximumAnswer =
            mapping.byteCount("maximum_answer", in: .bytes(0)...ByteCount.mebibytes(1), default: .bytes(maximumAnswer))
            .bytes
        usesHTTP2 = mapping.truth("http2", default: usesHTTP2)
        self = mapping.mapping("connections", absent: self) { reading(connections: $0) }
    }

    private func reading(deadlines mapping: PolicyMapping) -> SendingTerms {
        var terms = self
        terms.totalDeadline = mapping.duration(
            "total", in: .milliseconds(100)...Duration.seconds(300), default: totalDeadline)
        terms.connectDeadline = mapping.duration(
            "connect", in: .milliseconds(100)...terms.totalDeadline, default: min(connectDeadline, terms.totalDeadline))
        return terms
    }

    private func reading(connections mapping: PolicyMapping) -> SendingTerms {
        var terms = self
        terms.connections = mapping.integer("total", in: 1...10_000, default: connections)
        terms.connectionsPerHost = mapping.integer(
            "per_host", in: 1...terms.connections, default: min(connectionsPerHost, terms.connections))
        return terms
    }
}
