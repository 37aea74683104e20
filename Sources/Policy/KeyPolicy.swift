/// How clients come in that are registered here: `Policies/keys.yaml`.
public struct KeyPolicy: Sendable {
    /// The API keys' conditions.
    public var apiKeys: APIKeys

    /// The conditions of `api_key`.
    public struct APIKeys: Sendable, Equatable {
        /// How long keys are believed after the database last confirmed them.
        public var maximumStaleness = Duration.seconds(15 * 60)

        /// The defaults.
        public init() {}
    }

    /// Reads and checks `keys.yaml` and the files it names.
    ///
    /// - Parameters:
    ///   - file: the policy file.
    ///   - installation: the directory that relative paths in the policy start from.
    /// - Throws: every mistake at once, those in key files included.
    public static func load(_ file: String, installation: String) throws(PolicyError) -> KeyPolicy {
        try PolicyFile.load(file) { root in
            root.mapping { KeyPolicy(reading: $0, installation: InstallationDirectory(path: installation)) }
        }
    }

    private init(reading mapping: PolicyMapping, installation: InstallationDirectory) {
        apiKeys = mapping.mapping("api_keys", absent: APIKeys()) { APIKeys(reading: $0) }
    }
}

extension KeyPolicy.APIKeys {
    fileprivate init(reading mapping: PolicyMapping) {
        self.init()
        maximumStaleness = mapping.duration(
            "maximum_staleness", in: .seconds(10)...Duration.seconds(86_400), default: maximumStaleness)
    }
}
