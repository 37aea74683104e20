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

    /// Reads and compiles `openapi.yaml`.
    public func routes() throws(PolicyError) -> RouteTable { try RouteTable.load("\(path)/openapi.yaml") }

    /// Reads and checks `bridge.yaml`.
    public func bridge() throws(PolicyError) -> BridgePolicy { try BridgePolicy.load("\(path)/bridge.yaml") }

    /// The files as they are now, by name.
    ///
    /// - Throws: a mistake for each that cannot be read.
    public func contents() throws(PolicyError) -> [(name: String, bytes: [UInt8])] {
        var files: [(String, [UInt8])] = []
        var mistakes: [Mistake] = []
        for name in ["gateway.yaml", "issuers.yaml", "keys.yaml", "openapi.yaml", "bridge.yaml"] {
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

    /// Reads everything and throws the mistakes of all files together.
    ///
    /// - Parameter original: the directory that this one is a copy of; mistakes then name the files there.
    public func check(copiedFrom original: String? = nil) throws(PolicyError) {
        var mistakes: [Mistake] = []
        func collect(_ load: () throws(PolicyError) -> Void) {
            do throws(PolicyError) { try load() } catch { mistakes += error.mistakes }
        }
        collect { () throws(PolicyError) in _ = try gateway() }
        collect { () throws(PolicyError) in _ = try issuers() }
        collect { () throws(PolicyError) in _ = try keys() }
        collect { () throws(PolicyError) in _ = try routes() }
        collect { () throws(PolicyError) in _ = try bridge() }
        guard mistakes.isEmpty else {
            throw PolicyError(original.map { original in mistakes.map { $0.moved(to: original) } } ?? mistakes)
        }
    }
}
