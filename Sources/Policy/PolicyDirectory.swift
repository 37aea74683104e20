public import Authentication

/// The directory with the policy files, and the installation whose files they name.
public struct PolicyDirectory: Sendable {
    /// The directory with `gateway.yaml` and the others.
    public let path: String
    /// The directory that relative paths in the policies start from.
    public let installation: String

    /// Names the directories; nothing is read yet.
    public init(path: String, installation: String) {
        self.path = path
        self.installation = installation
    }

    /// Reads and checks `gateway.yaml`.
    public func gateway() throws(PolicyError) -> GatewayPolicy {
        try GatewayPolicy.load("\(path)/gateway.yaml", installation: installation)
    }

    /// Reads and checks `issuers.yaml` and the keys it names.
    public func issuers() throws(PolicyError) -> IssuerPolicy {
        try IssuerPolicy.load("\(path)/issuers.yaml", installation: installation)
    }

    /// Reads and checks `keys.yaml` and the files it names.
    public func keys() throws(PolicyError) -> KeyPolicy {
        try KeyPolicy.load("\(path)/keys.yaml", installation: installation)
    }

    /// The clients that `keys.yaml` registers, each with its hotels, and nothing that is secret.
    public func registeredClients() throws(PolicyError) -> [String: HotelAccess] {
        try KeyPolicy.registeredClients("\(path)/keys.yaml")
    }

    /// Reads and compiles `openapi.yaml`, and compares it with the limits it names and what the bridge implements.
    public func routes() throws(PolicyError) -> RouteTable {
        try RouteTable.load(
            "\(path)/openapi.yaml", rateClasses: (try? rateLimits())?.namesForRoutes, operations: Operation.names)
    }

    /// Reads and checks `bridge.yaml`.
    public func bridge() throws(PolicyError) -> BridgePolicy { try BridgePolicy.load("\(path)/bridge.yaml") }

    /// Reads and checks `egress.yaml` and the file it names.
    public func egress() throws(PolicyError) -> EgressPolicy {
        try EgressPolicy.load("\(path)/egress.yaml", installation: installation)
    }

    /// Reads and checks `inbound.yaml` and the files it names.
    public func inbound() throws(PolicyError) -> InboundPolicy {
        try InboundPolicy.load("\(path)/inbound.yaml", installation: installation)
    }

    /// Reads and checks `inbound.yaml`, but for what it says of secrets.
    public func inboundWithoutSecrets() throws(PolicyError) -> InboundPolicy {
        try InboundPolicy.load("\(path)/inbound.yaml", installation: nil)
    }

    /// Reads and checks `rate-limits.yaml`.
    public func rateLimits() throws(PolicyError) -> RateLimitPolicy {
        try RateLimitPolicy.load("\(path)/rate-limits.yaml", installation: installation)
    }

    /// Reads and checks `firewall.yaml`.
    public func inspection() throws(PolicyError) -> InspectionPolicy {
        try InspectionPolicy.load("\(path)/firewall.yaml")
    }

    /// The directory of the firewall's own rules.
    public var firewallRules: String { "\(path)/\(Self.rulesDirectory)" }

    /// Reads and checks `addresses.yaml`, and compares it with the listeners it names.
    public func addresses() throws(PolicyError) -> AddressPolicy {
        let listeners = (try? gateway())?.listeners.filter { !$0.isAdmin }.map(\.name)
        return try AddressPolicy.load("\(path)/addresses.yaml", listeners: listeners)
    }

    /// The policy files.
    public static let fileNames = [
        "gateway.yaml", "addresses.yaml", "issuers.yaml", "keys.yaml", "openapi.yaml", "rate-limits.yaml",
        "firewall.yaml",
        "bridge.yaml", "egress.yaml", "inbound.yaml",
    ]

    /// The firewall's own rules, which its engine reads.
    public static let ruleFileNames = ["drawbridge", "rules", "exclusions"].map { "\(rulesDirectory)/\($0).conf" }

    /// Where the firewall's own rules stand within the directory.
    public static let rulesDirectory = "firewall"

    /// The files as they are now, by name.
    ///
    /// - Throws: a mistake for each that cannot be read.
    public func contents() throws(PolicyError) -> [(name: String, bytes: [UInt8])] {
        var files: [(String, [UInt8])] = []
        var mistakes: [Mistake] = []
        for name in Self.fileNames + Self.ruleFileNames {
            switch PolicyFile.contents(of: "\(path)/\(name)", limit: PolicyFile.maximumByteCount) {
            case .success(let bytes): files.append((name, bytes))
            case .failure(let failure):
                let log = MistakeLog(file: "\(path)/\(name)")
                log.record(at: .file, key: "", found: failure.found, expected: failure.expected)
                mistakes += log.mistakes
            }
        }
        guard mistakes.isEmpty else { throw PolicyError(mistakes) }
        return files
    }

    /// What is wrong with listeners' certificates now, those included that `check` was told to let pass.
    public func certificateMistakes() -> [Mistake] {
        let certificates = CertificateFiles(
            installation: InstallationDirectory(path: installation), expired: .refused)
        do throws(PolicyError) { try certificates.checkListeners("\(path)/gateway.yaml") } catch {
            return error.mistakes
        }
        return []
    }

    /// Reads everything, certificates included, and throws the mistakes of all files together.
    ///
    /// - Parameters:
    ///   - original: the directory that this one is a copy of; mistakes then name the files there.
    ///   - expired: certificates that may have ended.
    public func check(
        copiedFrom original: String? = nil, expired: ExpiredCertificates = .refused
    ) throws(PolicyError) {
        var mistakes: [Mistake] = []
        func collect(_ load: () throws(PolicyError) -> Void) {
            do throws(PolicyError) { try load() } catch {
                mistakes += error.mistakes.filter { !mistakes.contains($0) }
            }
        }
        let certificates = CertificateFiles(
            installation: InstallationDirectory(path: installation), expired: expired)
        collect { () throws(PolicyError) in _ = try gateway() }
        collect { () throws(PolicyError) in try certificates.checkListeners("\(path)/gateway.yaml") }
        collect { () throws(PolicyError) in _ = try issuers() }
        collect { () throws(PolicyError) in try certificates.checkAuthorities(ofIssuers: "\(path)/issuers.yaml") }
        collect { () throws(PolicyError) in _ = try keys() }
        collect { () throws(PolicyError) in _ = try routes() }
        collect { () throws(PolicyError) in _ = try bridge() }
        collect { () throws(PolicyError) in _ = try egress() }
        collect { () throws(PolicyError) in try certificates.checkAuthorities(ofReceivers: "\(path)/egress.yaml") }
        collect { () throws(PolicyError) in _ = try inbound() }
        collect { () throws(PolicyError) in _ = try rateLimits() }
        collect { () throws(PolicyError) in _ = try inspection() }
        collect { () throws(PolicyError) in _ = try addresses() }
        guard mistakes.isEmpty else {
            throw PolicyError(original.map { original in mistakes.map { $0.moved(to: original) } } ?? mistakes)
        }
    }
}
