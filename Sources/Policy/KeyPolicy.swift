public import Authentication
internal import Cryptography

/// How clients come in that are registered here: `Policies/keys.yaml`.
public struct KeyPolicy: Sendable {
    /// The API keys' conditions.
    public var apiKeys: APIKeys
    /// The clients that sign their requests, and the conditions of signatures.
    public var signatures: Signatures
    /// The vendors whose webhooks are a way in.
    public var webhooks: Webhooks

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

    /// The conditions of `webhook`.
    public struct Webhooks: Sendable {
        /// The most senders: each that signs in the same field is tried.
        public static let maximumSenderCount = 16

        /// How long the content may take to come. It has to be read before it is known who sends it.
        public var contentTimeout = Duration.seconds(5)
        /// Who sends.
        public var senders: [WebhookSender] = []
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

    /// The clients that a `keys.yaml` registers, each with all its hotels; no file that it names is read, so none of
    /// their secrets. Mistakes are ``load(_:installation:)``'s to find: what cannot be read registers nobody.
    ///
    /// - Throws: what is wrong with the file itself.
    public static func registeredClients(_ file: String) throws(PolicyError) -> [String: HotelAccess] {
        let unheard = MistakeLog(file: file)
        return try PolicyFile.load(file) { root in
            let root = PolicyMapping(PolicyNode(root.node, path: "", log: unheard))
            let nodes = [("signatures", "clients"), ("webhooks", "senders")].flatMap { section, list in
                root.optional(section).flatMap { PolicyMapping($0).optional(list) }?.elements() ?? []
            }
            let clients = nodes.compactMap { RegisteredClient(reading: PolicyMapping($0)) }
            return Dictionary(clients.map { ($0.name, $0.hotelIDs) }) { first, second in
                guard case .some(let first) = first, case .some(let second) = second else { return .all }
                return .of(first + second)
            }
        }
    }

    private init(reading mapping: PolicyMapping, installation: InstallationDirectory) {
        apiKeys = mapping.mapping("api_keys", absent: APIKeys()) { APIKeys(reading: $0) }
        signatures = mapping.mapping("signatures", absent: Signatures()) {
            Signatures(reading: $0, installation: installation)
        }
        webhooks = mapping.mapping("webhooks", absent: Webhooks()) {
            Webhooks(reading: $0, installation: installation)
        }
    }
}

extension KeyPolicy.APIKeys {
    fileprivate init(reading mapping: PolicyMapping) {
        self.init()
        // A bridge that has no news says so after twenty seconds.
        maximumStaleness = mapping.duration(
            "maximum_staleness", in: .seconds(30)...Duration.seconds(86_400), default: maximumStaleness)
    }
}

extension KeyPolicy.Signatures {
    fileprivate init(reading mapping: PolicyMapping, installation: InstallationDirectory) {
        terms.maximumAgeInSeconds = mapping.optional("maximum_age")?.seconds(in: 1...3600) ?? terms.maximumAgeInSeconds
        terms.clockSkewInSeconds = mapping.optional("clock_skew")?.seconds(in: 0...60) ?? terms.clockSkewInSeconds
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

extension KeyPolicy.Webhooks {
    fileprivate init(reading mapping: PolicyMapping, installation: InstallationDirectory) {
        contentTimeout = mapping.duration(
            "content_timeout", in: .milliseconds(100)...Duration.seconds(60), default: contentTimeout)
        guard let list = mapping.optional("senders") else { return }
        for node in list.elements() {
            guard let sender = node.mapping({ WebhookSender(reading: $0, installation: installation) }) else {
                continue
            }
            if senders.contains(where: { $0.name == sender.name }) {
                node.refuse(expected: "each name once", found: "\(sender.name) a second time")
            }
            senders.append(sender)
        }
        if senders.count > Self.maximumSenderCount {
            list.refuse(expected: "at most \(Self.maximumSenderCount) senders", found: "\(senders.count)")
        }
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
        hotelIDs = HotelAccess(reading: hotels)
        guard let name = node?.text(nameForm) else { return nil }
        if !Identity.isClientName(name) { node?.refuse(expected: nameForm) }
        self.name = name
    }
}

extension HotelAccess {
    /// A list of hotel ids, or `*` for every hotel.
    init(reading node: PolicyNode?) {
        guard let node else {
            self = .none
            return
        }
        if case .scalar("*", _) = node.node.value {
            self = .all
        } else {
            self = .of(node.elements(atLeast: 1).compactMap { $0.integer(in: 1...Int(Int32.max)).map { Int32($0) } })
        }
    }
}

/// A secret that both sides have, in a file.
enum SharedSecret {
    /// How the file holds it.
    enum Form: String, CaseIterable {
        /// Base64 text of it; `whsec_` may stand in front, as the Standard Webhooks have it.
        case base64
        /// As it is, but for ends of lines behind it.
        case text
    }

    static func read(_ mapping: PolicyMapping, _ key: String, _ installation: InstallationDirectory) -> [UInt8]? {
        let least = SigningClient.Key.minimumSecretByteCount
        return mapping.required(key, expected: expectation(.base64, least)).flatMap {
            read($0, .base64, atLeast: least, installation)
        }
    }

    /// One secret, or two while one takes the other's place.
    static func read(
        filesIn mapping: PolicyMapping, _ form: Form, atLeast least: Int, _ installation: InstallationDirectory
    ) -> [[UInt8]] {
        let expected = "one file with a secret, or two while one takes the other's place"
        guard let list = mapping.required("files", expected: expected) else { return [] }
        let nodes = list.elements(atLeast: 1)
        if nodes.count > 2 { list.refuse(expected: expected, found: "\(nodes.count)") }
        return nodes.compactMap { read($0, form, atLeast: least, installation) }
    }

    static func read(
        _ node: PolicyNode, _ form: Form, atLeast least: Int, _ installation: InstallationDirectory
    ) -> [UInt8]? {
        let expected = expectation(form, least)
        guard let name = node.text(expected) else { return nil }
        switch PolicyFile.contents(of: installation.path(name), limit: PolicyFile.maximumKeyByteCount) {
        case .failure(let failure): node.refuse(expected: failure.expected, found: failure.found)
        case .success(let contents):
            guard let secret = secret(contents, form) else {
                node.refuse(expected: expected, found: "\(name) with something else")
                return nil
            }
            guard secret.count >= least else {
                node.refuse(expected: expected, found: "\(name) with a secret of \(secret.count) bytes")
                return nil
            }
            return secret
        }
        return nil
    }

    private static func expectation(_ form: Form, _ least: Int) -> String {
        form == .text
            ? "the file of a secret of at least \(least) bytes"
            : "the file of a secret, base64 text of at least \(least) bytes"
    }

    private static func secret(_ contents: [UInt8], _ form: Form) -> [UInt8]? {
        switch form {
        case .base64:
            let text = String(decoding: contents, as: UTF8.self).filter { !$0.isWhitespace }
            return Base64.standard.decode(text.hasPrefix("whsec_") ? String(text.dropFirst(6)) : text)
        case .text:
            let end = contents.lastIndex { $0 != UInt8(ascii: "\n") && $0 != UInt8(ascii: "\r") }
            return end.map { Array(contents[...$0]) } ?? []
        }
    }
}
