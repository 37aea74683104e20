public import Authentication

/// Whose tokens are believed: `Policies/issuers.yaml`.
public struct IssuerPolicy: Sendable {
    /// The issuers with their keys; at least one.
    public var issuers: [TrustedIssuer]
    /// Where the keys are that issuers publish, by issuer; the bridge fetches them for the gateways.
    public var keySets: [String: KeySetSource]
    /// What is asked of the knowledge of revoked tokens.
    public var revocations: Revocations
    /// The tokens that this installation issues itself.
    public var own: OwnTokenPolicy

    /// All whose tokens are believed: the issuers, and the installation itself.
    public var believed: [TrustedIssuer] { issuers + [own.trustedIssuer] }

    /// What is asked of the knowledge of revoked tokens.
    public struct Revocations: Sendable, Equatable {
        /// How long what is known of them is believed after the database last confirmed it.
        public var maximumStaleness = Duration.seconds(15 * 60)

        /// The defaults.
        public init() {}
    }

    /// Reads and checks `issuers.yaml` and the key files it names.
    ///
    /// - Parameters:
    ///   - file: the policy file.
    ///   - installation: the directory that relative paths in the policy start from.
    /// - Throws: every mistake at once, those in key files included.
    public static func load(_ file: String, installation: String) throws(PolicyError) -> IssuerPolicy {
        try PolicyFile.load(file) { root in
            root.mapping { IssuerPolicy(reading: $0, installation: InstallationDirectory(path: installation)) }
        }
    }

    private init(reading mapping: PolicyMapping, installation: InstallationDirectory) {
        let nodes = mapping.required("issuers", expected: "at least one issuer")?.elements(atLeast: 1) ?? []
        issuers = []
        keySets = [:]
        revocations = mapping.mapping("revocations", absent: Revocations()) { Revocations(reading: $0) }
        let own = mapping.mapping("own", absent: OwnTokenPolicy(installation)) {
            OwnTokenPolicy(reading: $0, installation: installation)
        }
        self.own = own
        for node in nodes {
            var source: KeySetSource?
            let issuer = node.mapping { mapping in
                source = mapping.optional("key_set")?.mapping { KeySetSource(reading: $0, installation: installation) }
                return TrustedIssuer(reading: mapping, installation: installation, source)
            }
            guard let issuer else { continue }
            if issuer.issuer.hasPrefix(Identity.ownNamespace) {
                node.refuse(
                    expected: "an issuer whose name does not begin with \(Identity.ownNamespace), which is our own",
                    found: issuer.issuer)
            }
            if issuer.issuer == own.issuer {
                node.refuse(expected: "another issuer than the installation itself (own.issuer)", found: issuer.issuer)
            }
            if issuers.contains(where: { $0.issuer == issuer.issuer }) {
                node.refuse(expected: "each issuer once", found: "\(issuer.issuer) a second time")
            }
            issuers.append(issuer)
            keySets[issuer.issuer] = source
        }
    }
}

extension IssuerPolicy.Revocations {
    fileprivate init(reading mapping: PolicyMapping) {
        self.init()
        // A bridge that has no news says so after twenty seconds.
        maximumStaleness = mapping.duration(
            "maximum_staleness", in: .seconds(30)...Duration.seconds(86_400), default: maximumStaleness)
    }
}

extension TrustedIssuer {
    fileprivate init(reading mapping: PolicyMapping, installation: InstallationDirectory, _ source: KeySetSource?) {
        self.init(
            issuer: mapping.text("issuer", expected: "the tokens' iss claim"),
            audience: mapping.text("audience", expected: "the tokens' aud claim"),
            clockSkewInSeconds: Self.clockSkew(mapping),
            claimNames: mapping.mapping("claims", absent: ClaimNames()) { ClaimNames(reading: $0) },
            tokenType: mapping.optional("token_type")?.text("the tokens' typ, such as at+jwt"),
            keys: Self.keys(mapping, installation), keySetAlgorithms: Set(source?.algorithms ?? []))
    }

    /// Tokens carry whole seconds (RFC 7519 §2, NumericDate), and so does what their clock may be off by.
    static func clockSkew(_ mapping: PolicyMapping) -> Int64 {
        let most = Duration.seconds(maximumClockSkewInSeconds)
        guard let node = mapping.optional("clock_skew"), let skew = node.duration(in: .zero...most) else { return 5 }
        let (seconds, rest) = skew.components
        if rest != 0 { node.refuse(expected: "whole seconds") }
        return seconds
    }

    private static func keys(_ mapping: PolicyMapping, _ installation: InstallationDirectory) -> [VerificationKey] {
        // An issuer that publishes its keys need not have any here.
        let list =
            mapping.optional("key_set") == nil
            ? mapping.required("keys", expected: "at least one key, or a key_set") : mapping.optional("keys")
        let nodes = list?.elements(atLeast: 1) ?? []
        var keys: [VerificationKey] = []
        for node in nodes {
            guard let key = node.mapping({ key(reading: $0, installation) }) else { continue }
            if keys.contains(where: { $0.keyID == key.keyID }) {
                node.refuse(expected: "each kid once within an issuer", found: "\(key.keyID) a second time")
            }
            keys.append(key)
        }
        return keys
    }

    private static func key(reading mapping: PolicyMapping, _ installation: InstallationDirectory) -> VerificationKey? {
        let keyIDForm = "a key id of 1 to 64 letters, digits, dots, hyphens, underscores"
        let keyID = mapping.required("kid", expected: keyIDForm)
        let algorithms = SignatureAlgorithm.allCases.map(\.rawValue).joined(separator: ", ")
        let algorithm = mapping.required("algorithm", expected: "one of \(algorithms)")?.choice(SignatureAlgorithm.self)
        let file = mapping.required("file", expected: "the key file")
        let keyIDText = keyID?.text(keyIDForm)
        if let keyIDText, !VerificationKey.isKeyID(keyIDText) { keyID?.refuse(expected: keyIDForm) }
        guard let keyIDText, let algorithm, let file, let name = file.text() else { return nil }
        switch PolicyFile.contents(of: installation.path(name), limit: PolicyFile.maximumKeyByteCount) {
        case .failure(let failure): file.refuse(expected: failure.expected, found: failure.found)
        case .success(let contents):
            do {
                return try VerificationKey(keyID: keyIDText, algorithm: algorithm, contents: contents.span)
            } catch {
                file.refuse(expected: error.expected, found: "\(name) with \(error.found)")
            }
        }
        return nil
    }
}

extension TrustedIssuer.ClaimNames {
    fileprivate init(reading mapping: PolicyMapping) {
        self.init()
        scopes = mapping.text("scopes", default: scopes)
        hotelIDs = mapping.text("hotel_ids", default: hotelIDs)
        client = mapping.text("client", default: client)
    }
}
