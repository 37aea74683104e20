public import Authentication
public import Inbound
internal import JSONText

/// Whose webhooks are taken, how they prove themselves, and what is done about them: `Policies/inbound.yaml`.
public struct InboundPolicy: Sendable {
    /// The most sources there can be: each has series of its own among the metrics.
    public static let maximumSourceCount = 64

    /// How long content may take to come. It has to be read before it is known who sends it.
    public var contentTimeout = Duration.seconds(5)
    /// How often a message that could not be acted on is tried.
    public var retries = InboundRetries()
    /// The sources, as the bridge needs them; nothing about them is secret.
    public var sources: [InboundSource] = []
    /// The same sources, as the gateways need them; empty where secrets were not to be read.
    public var senders: [InboundSender] = []
    /// The limits that sources have of their own, by the sources' names.
    public var rates: [String: RateLimitPolicy.Class] = [:]

    /// Reads and checks `inbound.yaml`; throws every mistake in it at once.
    ///
    /// - Parameters:
    ///   - file: the policy file.
    ///   - installation: the directory that relative paths in the policy start from; nil leaves what it says of secrets unread,
    ///     for whoever has no business with them.
    public static func load(_ file: String, installation: String?) throws(PolicyError) -> InboundPolicy {
        let installation = installation.map { InstallationDirectory(path: $0) }
        return try PolicyFile.load(file) { root in
            root.mapping { InboundPolicy(reading: $0, installation: installation) }
        }
    }

    private init(reading mapping: PolicyMapping, installation: InstallationDirectory?) {
        contentTimeout = mapping.duration(
            "content_timeout", in: .milliseconds(100)...Duration.seconds(60), default: contentTimeout)
        retries = mapping.mapping("retries", absent: retries) { InboundRetries(reading: $0) }
        guard let list = mapping.required("sources", expected: "a list of sources, or an empty one") else { return }
        for node in list.elements() {
            guard let source = node.mapping({ read($0, installation) }) else { continue }
            if sources.contains(where: { $0.name == source.name }) {
                node.refuse(expected: "each name once", found: "\(source.name) a second time")
            }
            sources.append(source)
        }
        if sources.count > Self.maximumSourceCount {
            list.refuse(expected: "at most \(Self.maximumSourceCount) sources", found: "\(sources.count)")
        }
    }

    private mutating func read(_ mapping: PolicyMapping, _ installation: InstallationDirectory?) -> InboundSource? {
        let nameForm = "a name of 1 to 64 lower-case letters, digits and hyphens"
        let nameNode = mapping.required("name", expected: nameForm)
        let name = nameNode?.text(nameForm)
        if let name, !InboundSource.isName(name) { nameNode?.refuse(expected: nameForm) }
        let hotelIDs = HotelAccess(
            reading: mapping.required("hotel_ids", expected: "a list of hotel ids, or \"*\""))
        let maximumBody = mapping.optional("maximum_body")?.byteCount(in: .bytes(1)...ByteCount.mebibytes(1))
        let rate = mapping.optional("rate").flatMap { node in
            node.mapping { RateLimitPolicy.Class(name: "source", partition: [.principal], quotaOf: $0, at: node) }
        }
        let proof = SourceProof(reading: mapping, installation)
        let source = InboundSource(reading: mapping, name: name ?? "", hotelIDs: hotelIDs, proof)
        guard let name, let source else { return nil }
        if let rate { rates[name] = rate }
        if let terms = proof?.terms {
            senders.append(
                InboundSender(name: name, proof: terms, maximumBody: maximumBody?.bytes, hotelIDs: hotelIDs))
        }
        return source
    }
}

/// By what a source proves that a message is its own.
private struct SourceProof {
    /// The keys, one of which a source has.
    enum Kind: String, CaseIterable {
        case hmac
        case standardWebhooks = "standard_webhooks"
        case urlSecret = "url_secret"
    }

    let kind: Kind
    /// Nil where secrets are not to be read, or it has mistakes.
    let terms: InboundSender.Proof?

    /// What a code is made of; nil where that is not known, or there is none.
    var signed: [WebhookTerms.Part]? { if case .code(let terms)? = terms { terms.signed } else { nil } }

    init?(reading mapping: PolicyMapping, _ installation: InstallationDirectory?) {
        let expected = "one of " + Kind.allCases.map(\.rawValue).joined(separator: ", ")
        let present = Kind.allCases.compactMap { kind in mapping.optional(kind.rawValue).map { (kind, $0) } }
        guard let (kind, node) = present.first else {
            _ = mapping.required(Kind.hmac.rawValue, expected: expected)
            return nil
        }
        for (_, other) in present.dropFirst() { other.refuse(expected: expected, found: "another one besides") }
        self.kind = kind
        guard let installation else {
            terms = nil
            return
        }
        terms = node.mapping { mapping in
            switch kind {
            case .hmac: WebhookTerms(reading: mapping, installation: installation).map { .code($0) }
            case .standardWebhooks: .code(Self.standardTerms(mapping, installation))
            case .urlSecret: Self.urlSecret(mapping, installation)
            }
        }
    }

    /// Standard Webhooks: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
    private static func standardTerms(
        _ mapping: PolicyMapping, _ installation: InstallationDirectory
    ) -> WebhookTerms {
        WebhookTerms(
            field: "webhook-signature", prefix: "v1,", separator: " ", encoding: .base64,
            signed: [.field(InboundSource.standardField), .text("."), .timestamp, .text("."), .body],
            timestampField: "webhook-timestamp",
            secrets: SharedSecret.read(
                filesIn: mapping, .base64, atLeast: WebhookTerms.minimumSecretByteCount, installation))
    }

    private static func urlSecret(
        _ mapping: PolicyMapping, _ installation: InstallationDirectory
    ) -> InboundSender.Proof? {
        let secrets = SharedSecret.read(
            filesIn: mapping, .text, atLeast: URLSecret.lengths.lowerBound, installation)
        guard let secret = URLSecret(secrets) else {
            mapping.optional("files")?.refuse(
                expected:
                    "secrets of \(URLSecret.lengths.lowerBound) to \(URLSecret.lengths.upperBound) letters, digits "
                    + "and -._~, which need no escaping in an address", found: "a file with something else")
            return nil
        }
        return .urlSecret(secret)
    }
}

extension InboundSource {
    /// Where the Standard Webhooks have the message's name.
    fileprivate static let standardField = "webhook-id"
    private static let maximumKeptFieldCount = 8

    fileprivate init?(reading mapping: PolicyMapping, name: String, hotelIDs: HotelAccess, _ proof: SourceProof?) {
        // Standard Webhooks have a name each.
        let identification =
            Self.identification(mapping, signed: proof?.signed)
            ?? (proof?.kind == .standardWebhooks ? .field(Self.standardField) : .content)
        let hotelMember = mapping.optional("hotel")?.mapping { HotelMember(reading: $0, within: hotelIDs) }
        if hotelMember == nil, hotelIDs.ids?.count != 1, mapping.optional("hotel") == nil {
            _ = mapping.required("hotel", expected: "where the content names the hotel, as the source has not just one")
        }
        let refreshes = Refresh.allCases.map(\.rawValue).joined(separator: ", ")
        let refresh = mapping.required("refresh", expected: "one of \(refreshes)")?.choice(Refresh.self)
        let keptFields = Self.keptFields(mapping)
        guard let refresh else { return nil }
        self.init(
            name: name, hotelIDs: hotelIDs, identification: identification, hotelMember: hotelMember, refresh: refresh,
            keptFields: keptFields)
    }

    /// - Parameter signed: what the source signs. A name that is not among it anybody could change who has seen a message, and have
    ///   it taken for another.
    private static func identification(_ mapping: PolicyMapping, signed: [WebhookTerms.Part]?) -> Identification? {
        guard let node = mapping.optional("identified_by") else { return nil }
        let expected = "content, nothing, {field: …} or {member: …}"
        if case .scalar(let word, _) = node.node.value {
            switch word {
            case "content": return .content
            case "nothing": return .nothing
            default:
                node.refuse(expected: expected)
                return nil
            }
        }
        return node.mapping { mapping -> Identification? in
            switch (mapping.optional("field"), mapping.optional("member")) {
            case (let field?, nil):
                guard let name = fieldName(field) else { return nil }
                if let signed, !signed.contains(.field(name)) {
                    field.refuse(expected: "a field that is signed, too: {field:\(name)} in signed", found: name)
                }
                return .field(name)
            case (nil, let member?): return JSONPointer(reading: member).map { .member($0) }
            default:
                node.refuse(expected: expected)
                return nil
            }
        }
    }

    private static func keptFields(_ mapping: PolicyMapping) -> [String] {
        guard let list = mapping.optional("kept_fields") else { return [] }
        let names = list.elements().compactMap(fieldName)
        if names.count > maximumKeptFieldCount {
            list.refuse(expected: "at most \(maximumKeptFieldCount) fields", found: "\(names.count)")
        }
        return names
    }

    private static func fieldName(_ node: PolicyNode) -> String? {
        let expected = "a field's name in lower case, other than those for credentials"
        guard let name = node.text(expected) else { return nil }
        // These do not reach the bridge.
        if !WebhookTerms.isFieldName(name) || ["authorization", "cookie", "x-api-key"].contains(name) {
            node.refuse(expected: expected)
        }
        return name
    }
}

extension InboundSource.HotelMember {
    fileprivate init?(reading mapping: PolicyMapping, within hotelIDs: HotelAccess) {
        let place = mapping.required("member", expected: JSONPointer.form).flatMap { JSONPointer(reading: $0) }
        var names: [String: Int32] = [:]
        if let node = mapping.optional("names") {
            if node.entries().isEmpty { node.refuse(expected: "hotel ids by what the sender calls the hotels") }
            for (name, value) in node.entries() {
                guard let id = value.integer(in: 1...Int(Int32.max)).map({ Int32($0) }) else { continue }
                if !hotelIDs.includes(id) { value.refuse(expected: "one of the source's hotel_ids") }
                names[name] = id
            }
        }
        guard let place else { return nil }
        self.init(place: place, names: names)
    }
}

extension InboundRetries {
    fileprivate init(reading mapping: PolicyMapping) {
        self.init()
        attempts = mapping.integer("attempts", in: 1...100, default: attempts)
        longestDelay = mapping.duration(
            "longest_delay", in: .milliseconds(10)...Duration.seconds(86_400), default: longestDelay)
        initialDelay = mapping.duration(
            "initial_delay", in: .milliseconds(10)...longestDelay, default: min(initialDelay, longestDelay))
    }
}

extension JSONPointer {
    fileprivate static let form = "a JSON pointer such as /hotel_id"

    fileprivate init?(reading node: PolicyNode) {
        guard let text = node.text(Self.form) else { return nil }
        if JSONPointer(text) == nil { node.refuse(expected: Self.form) }
        self.init(text)
    }
}
