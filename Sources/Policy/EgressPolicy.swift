public import Egress

/// Where webhooks may be sent, and how: `Policies/egress.yaml`.
public struct EgressPolicy: Sendable, Hashable {
    /// Decides where.
    public var egressGuard: EgressGuard
    /// How.
    public var terms: SendingTerms
    /// What single endpoints may reach besides, by their ids in lower case.
    public var endpoints: [String: AllowList]

    /// What an endpoint may reach besides, for `EgressGuard.destination(_:allowing:)`.
    ///
    /// - Parameter endpoint: its id, a UUID in either case.
    public func allowed(for endpoint: String) -> AllowList { endpoints[endpoint.lowercased()] ?? AllowList() }

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
        endpoints = [:]
        for (key, node) in mapping.optional("endpoints")?.entries() ?? [] {
            let list = AllowList(reading: node)
            guard PathParameterType.uuid.matches(key.utf8.span) else {
                node.refuse(
                    expected: "an endpoint's id, a UUID such as 0b4f6c1e-7d7a-4f0e-9c55-6f1f2ab6a0d1", found: key)
                continue
            }
            if endpoints.updateValue(list, forKey: key.lowercased()) != nil {
                node.refuse(expected: "each endpoint once", found: "\(key) a second time")
            }
        }
    }
}

extension AllowList {
    /// Of a list of texts.
    fileprivate init(reading list: PolicyNode?) {
        self.init()
        for node in list?.elements() ?? [] {
            let form = "an address or network such as 10.20.0.0/16, without bits behind its prefix, or a host's name"
            if let text = node.text(form), !add(text) { node.refuse(expected: form) }
        }
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
        allowed = AllowList(reading: mapping.optional("allow"))
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
        self = mapping.mapping("requests", absent: self) { reading(requests: $0) }
    }

    private func reading(deadlines mapping: PolicyMapping) -> SendingTerms {
        var terms = self
        terms.totalDeadline = mapping.duration(
            "total", in: .milliseconds(100)...Duration.seconds(300), default: totalDeadline)
        terms.connectDeadline = mapping.duration(
            "connect", in: .milliseconds(100)...terms.totalDeadline, default: min(connectDeadline, terms.totalDeadline))
        terms.contentDeadline = mapping.duration(
            "content", in: .milliseconds(100)...terms.totalDeadline, default: min(contentDeadline, terms.totalDeadline))
        return terms
    }

    private func reading(connections mapping: PolicyMapping) -> SendingTerms {
        var terms = self
        terms.connections = mapping.integer("total", in: 1...10_000, default: connections)
        terms.connectionsPerHost = mapping.integer(
            "per_host", in: 1...terms.connections, default: min(connectionsPerHost, terms.connections))
        return terms
    }

    private func reading(requests mapping: PolicyMapping) -> SendingTerms {
        var terms = self
        terms.requestsPerHost = mapping.integer("per_host", in: 1...1000, default: requestsPerHost)
        terms.waiting = mapping.integer("waiting", in: 0...100_000, default: waiting)
        return terms
    }
}
