public import Authentication
internal import Cryptography

/// How clients come in that are registered here: `Policies/keys.yaml`.
public struct KeyPolicy: Sendable {
    /// The API keys' conditions.
    public var apiKeys: APIKeys
    /// The clients that sign their requests, and the conditions of signatures.
    public var signatures: Signatures

    /// The conditions of `api_key`.
    public struct APIKeys: Sendable, Equatable {
        /// How long keys are believed after the database last confirmed them.
        public var maximumStaleness = Duration.seconds(15 * 60)

        /// The defaults.
        public init() {}
    }

    /// The conditions of `signature`.
    public struct Signatures: Sendable {
        /// What signatures must cover, and how long they are good.
        public var terms = SignatureTerms()
        /// How many nonces a node can remember at once.
        public var nonces = 262_144
        /// Who signs.
        public var clients: [SigningClient] = []
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
        signatures = mapping.mapping("signatures", absent: Signatures()) {
            Signatures(reading: $0, installation: installation)
        }
    }
}

extension KeyPolicy.APIKeys {
    fileprivate init(reading mapping: PolicyMapping) {
        self.init()
        maximumStaleness = mapping.duration(
            "maximum_staleness", in: .seconds(10)...Duration.seconds(86_400), default: maximumStaleness)
    }
}

extension KeyPolicy.Signatures {
    fileprivate init(reading mapping: PolicyMapping, installation: InstallationDirectory) {
        terms.maximumAgeInSeconds = Self.seconds(mapping, "maximum_age", 1...3600, default: terms.maximumAgeInSeconds)
        terms.clockSkewInSeconds = Self.seconds(mapping, "clock_skew", 0...60, default: terms.clockSkewInSeconds)
        if let list = mapping.optional("covered_components") {
            let nodes = list.elements(atLeast: 1)
            terms.coveredComponents = nodes.compactMap { node in
                let expected = "a component such as \"@method\", or a field's name in lower case"
                guard let name = node.text(expected) else { return nil }
                if !Self.isComponent(name) { node.refuse(expected: expected) }
                return name
            }
        }
        nonces = mapping.integer("nonces", in: 1024...16_777_216, default: nonces)
        for node in mapping.optional("clients")?.elements() ?? [] {
            guard let client = node.mapping({ SigningClient(reading: $0, installation: installation) }) else {
                continue
            }
            if clients.contains(where: { $0.keyID == client.keyID }) {
                node.refuse(expected: "each keyid once", found: "\(client.keyID) a second time")
            }
            clients.append(client)
        }
    }

    private static func seconds(
        _ mapping: PolicyMapping, _ key: String, _ bounds: ClosedRange<Int64>, default fallback: Int64
    ) -> Int64 {
        guard let node = mapping.optional(key),
            let duration = node.duration(in: .seconds(bounds.lowerBound)...Duration.seconds(bounds.upperBound))
        else { return fallback }
        let (seconds, rest) = duration.components
        if rest != 0 { node.refuse(expected: "whole seconds") }
        return seconds
    }

    /// The derived components of RFC 9421 §2.2 that every request has, and fields.
    private static func isComponent(_ name: String) -> Bool {
        let derived = [
            "@method", "@target-uri", "@authority", "@scheme", "@request-target", "@path", "@query",
        ]
        let isField =
            !name.hasPrefix("@") && name.utf8.allSatisfy { 0x61...0x7A ~= $0 || 0x30...0x39 ~= $0 || $0 == 0x2D }
        return derived.contains(name) || isField
    }
}

extension SigningClient {
    private enum Algorithm: String, CaseIterable {
        case hmacSHA256 = "hmac-sha256"
    }

    fileprivate init?(reading mapping: PolicyMapping, installation: InstallationDirectory) {
        let keyIDForm = "a key id of 1 to 64 letters, digits, dots, hyphens, underscores"
        let keyID = mapping.required("keyid", expected: keyIDForm)
        let algorithm = mapping.required("algorithm", expected: "hmac-sha256")?.choice(Algorithm.self)
        let client = RegisteredClient(reading: mapping)
        guard let keyIDText = keyID?.text(keyIDForm), let algorithm, let client,
            let secret = SharedSecret.read(mapping, "file", installation)
        else { return nil }
        if !VerificationKey.isKeyID(keyIDText) { keyID?.refuse(expected: keyIDForm) }
        let key: Key =
            switch algorithm {
            case .hmacSHA256: .hmacSHA256(secret)
            }
        self.init(keyID: keyIDText, key: key, client: client.name, scopes: client.scopes, hotelIDs: client.hotelIDs)
    }
}

/// What the policy says of a client that it registers itself: its name and what it may do.
struct RegisteredClient {
    let name: String
    let scopes: Scopes
    let hotelIDs: HotelAccess

    init?(reading mapping: PolicyMapping) {
        let nameForm = "a name of 1 to 64 letters, digits, dots, hyphens, underscores"
        let node = mapping.required("client", expected: nameForm)
        let scopes = mapping.required("scopes", expected: "what the client may do")?.elements(atLeast: 1) ?? []
        let hotels = mapping.required("hotel_ids", expected: "a list of hotel ids, or \"*\"")
        self.scopes = Scopes(scopes.compactMap { $0.choice(Scope.self) })
        hotelIDs = Self.access(hotels)
        guard let name = node?.text(nameForm) else { return nil }
        if !VerificationKey.isKeyID(name) { node?.refuse(expected: nameForm) }
        self.name = name
    }

    private static func access(_ node: PolicyNode?) -> HotelAccess {
        guard let node else { return .none }
        if case .scalar("*", _) = node.node.value { return .all }
        return .of(node.elements(atLeast: 1).compactMap { $0.integer(in: 1...Int(Int32.max)).map { Int32($0) } })
    }
}

/// A secret that both sides have, in a file as base64 text.
enum SharedSecret {
    static func read(_ mapping: PolicyMapping, _ key: String, _ installation: InstallationDirectory) -> [UInt8]? {
        let expected = "the file of a secret, base64 text of at least \(SigningClient.Key.minimumSecretByteCount) bytes"
        guard let node = mapping.required(key, expected: expected), let name = node.text(expected) else { return nil }
        switch PolicyFile.contents(of: installation.path(name), limit: PolicyFile.maximumKeyByteCount) {
        case .failure(let failure): node.refuse(expected: failure.expected, found: failure.found)
        case .success(let contents):
            let text = String(decoding: contents, as: UTF8.self).filter { !$0.isWhitespace }
            guard let secret = Base64.standard.decode(text) else {
                node.refuse(expected: expected, found: "\(name) with something else")
                return nil
            }
            guard secret.count >= SigningClient.Key.minimumSecretByteCount else {
                node.refuse(expected: expected, found: "\(name) with a secret of \(secret.count) bytes")
                return nil
            }
            return secret
        }
        return nil
    }
}
