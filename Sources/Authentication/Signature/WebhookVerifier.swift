public import Cryptography

/// How a vendor signs the webhooks it sends: an HMAC-SHA256 in a field, over the content and what else the vendor says.
public struct WebhookTerms: Sendable, Equatable {
    /// How the code is written.
    public enum Encoding: String, Sendable, CaseIterable {
        /// Base 16, in either case.
        case hex
        /// Base 64 with padding.
        case base64
    }

    /// A piece of what is signed.
    public enum Part: Sendable, Equatable {
        /// Text that is always the same.
        case text(String)
        /// The content.
        case body
        /// The timestamp, as it was sent.
        case timestamp
        /// The value of a field, which must be there once.
        case field(String)
    }

    /// The field with the code, in lower case.
    public var field: String
    /// What stands in front of a code, such as `sha256=`.
    public var prefix: String
    /// What parts several codes, where the vendor sends several while it changes its secret; `nil` where it sends one.
    public var separator: Character?
    /// How a code is written.
    public var encoding: Encoding
    /// What is signed, in order; the content is part of it.
    public var signed: [Part]
    /// The field with the time at which it was sent, in Unix seconds, in lower case; `nil` where there is none, and
    /// then nothing but the receiver's own memory tells a repetition.
    public var timestampField: String?
    /// What stands in front of the time, for vendors that put it into the field of the code.
    public var timestampPrefix: String
    /// How many seconds ago it may have been sent.
    public var maximumAgeInSeconds: Int64
    /// How many seconds the two clocks may differ.
    public var clockSkewInSeconds: Int64
    /// The secrets that count: one, or two while one takes the other's place.
    public var secrets: [[UInt8]]

    /// Puts the terms together.
    public init(
        field: String, prefix: String = "", separator: Character? = nil, encoding: Encoding, signed: [Part] = [.body],
        timestampField: String? = nil, timestampPrefix: String = "", maximumAgeInSeconds: Int64 = 300,
        clockSkewInSeconds: Int64 = 30,
        secrets: [[UInt8]]
    ) {
        self.field = field
        self.prefix = prefix
        self.separator = separator
        self.encoding = encoding
        self.signed = signed
        self.timestampField = timestampField
        self.timestampPrefix = timestampPrefix
        self.maximumAgeInSeconds = maximumAgeInSeconds
        self.clockSkewInSeconds = clockSkewInSeconds
        self.secrets = secrets
    }

    /// For how many seconds after its time a webhook can be accepted. One more than the terms say, because time is told
    /// in whole seconds.
    public var reachInSeconds: Int64 { maximumAgeInSeconds + clockSkewInSeconds + 1 }

    /// Reads what is signed from a template such as `v0:{timestamp}:{body}` or `{field:webhook-id}.{timestamp}.{body}`;
    /// `nil` when it names something else, not the content, or two values with nothing between them: what is signed
    /// would not say where one ends and the other begins.
    public static func parts(_ template: String) -> [Part]? {
        var parts: [Part] = []
        var rest = template[...]
        while !rest.isEmpty {
            let text = rest.prefix { $0 != "{" && $0 != "}" }
            if !text.isEmpty { parts.append(.text(String(text))) }
            rest = rest[text.endIndex...]
            guard let brace = rest.first else { break }
            guard brace == "{", let end = rest.firstIndex(of: "}") else { return nil }
            if case .text? = parts.last {} else if !parts.isEmpty { return nil }
            let name = rest[rest.index(after: rest.startIndex)..<end]
            rest = rest[rest.index(after: end)...]
            switch name {
            case "body": parts.append(.body)
            case "timestamp": parts.append(.timestamp)
            case _ where name.hasPrefix("field:") && name.utf8.count > 6:
                parts.append(.field(String(name.dropFirst(6))))
            default: return nil
            }
        }
        return parts.contains(.body) ? parts : nil
    }

    /// The least number of bytes of a secret; vendors choose it.
    public static let minimumSecretByteCount = 16
    /// The most codes looked at in one request.
    static let maximumCodeCount = 4
    static let maximumFieldByteCount = 2048
}

/// Checks webhooks of one vendor. It has no clock and no memory.
public struct WebhookVerifier: Sendable {
    private let terms: WebhookTerms

    /// A verifier by a vendor's terms.
    public init(_ terms: WebhookTerms) { self.terms = terms }

    /// What a request claims, as far as it can be seen without the content. A stranger gets no further than this, so
    /// nobody holds content for a request that could not be good.
    public struct Claim: Sendable {
        fileprivate let codes: [Digest256]
        /// When it was sent, as the vendor says, in Unix seconds.
        public let sentAt: Int64?
        fileprivate let timestamp: String?
        fileprivate let fields: [String: String]
    }

    /// Looks at the fields.
    ///
    /// - Parameters:
    ///   - values: gives the values of the fields with a name in lower case.
    ///   - now: Unix seconds.
    public func claim(_ values: (String) -> [String], now: Int64) throws(AuthenticationError) -> Claim {
        let codes = try codes(try Self.only(terms.field, values))
        var sent: (text: String, at: Int64)?
        if let field = terms.timestampField { sent = try timestamp(try Self.only(field, values), now: now) }
        var fields: [String: String] = [:]
        for case .field(let name) in terms.signed { fields[name] = try Self.only(name, values) }
        return Claim(codes: codes, sentAt: sent?.at, timestamp: sent?.text, fields: fields)
    }

    /// Refuses content that is not what the vendor signed. Every code is compared with every secret's, and each
    /// comparison takes the same time, so that nothing can be learned from how long it takes to be refused.
    ///
    /// - Returns: what makes the webhook unlike any other of this vendor, however the code is written and by whichever
    ///   secret it was made: the hash of what is signed. To be claimed once, or the request is a replay.
    @discardableResult
    public func check(_ claim: Claim, _ content: Span<UInt8>) throws(AuthenticationError) -> Digest256 {
        var message: [UInt8] = []
        for part in terms.signed {
            switch part {
            case .text(let text): message += text.utf8
            case .body: content.withUnsafeBufferPointer { message.append(contentsOf: $0) }
            case .timestamp: message += (claim.timestamp ?? "").utf8
            case .field(let name): message += (claim.fields[name] ?? "").utf8
            }
        }
        var isGood = false
        for secret in terms.secrets {
            var mac = HMACSHA256(key: secret.span)
            let expected = mac.authenticationCode(for: message.span)
            for code in claim.codes where code == expected { isGood = true }
        }
        guard isGood else { throw AuthenticationError(.badSignature, "the code does not belong to the content") }
        return SHA256.hash(message.span)
    }

    private static func only(_ name: String, _ values: (String) -> [String]) throws(AuthenticationError) -> String {
        let values = values(name)
        guard values.count == 1 else { throw AuthenticationError(.missing, "not exactly one of a webhook's fields") }
        guard values[0].utf8.count <= WebhookTerms.maximumFieldByteCount else {
            throw AuthenticationError(.malformed, "a webhook's field that is too long")
        }
        return values[0]
    }

    private func pieces(_ value: String) -> [Substring] {
        guard let separator = terms.separator else { return [value[...]] }
        return value.split(separator: separator).map { piece in
            var piece = piece.drop { $0 == " " }
            while piece.last == " " { piece.removeLast() }
            return piece
        }
    }

    private func codes(_ value: String) throws(AuthenticationError) -> [Digest256] {
        let texts = pieces(value).filter { $0.hasPrefix(terms.prefix) }.map { String($0.dropFirst(terms.prefix.count)) }
        guard 1...WebhookTerms.maximumCodeCount ~= texts.count else {
            throw AuthenticationError(.malformed, "no code, or too many")
        }
        var codes: [Digest256] = []
        for text in texts {
            let bytes =
                switch terms.encoding {
                case .hex: Hexadecimal.decode(text)
                case .base64: Base64.standard.decode(text)
                }
            guard let bytes, let code = Digest256(bytes.span) else {
                throw AuthenticationError(.malformed, "a code of another form")
            }
            codes.append(code)
        }
        return codes
    }

    private func timestamp(_ value: String, now: Int64) throws(AuthenticationError) -> (text: String, at: Int64) {
        let texts = terms.timestampPrefix.isEmpty ? [value[...]] : pieces(value)
        let found = texts.filter { $0.hasPrefix(terms.timestampPrefix) }
        guard found.count == 1 else { throw AuthenticationError(.malformed, "not exactly one time") }
        let text = found[0].dropFirst(terms.timestampPrefix.count)
        guard 1...15 ~= text.utf8.count, text.utf8.allSatisfy({ 0x30...0x39 ~= $0 }), let seconds = Int64(text) else {
            throw AuthenticationError(.malformed, "a time that is not one")
        }
        guard seconds <= now + terms.clockSkewInSeconds else {
            throw AuthenticationError(.notYetValid, "the webhook was sent in the future")
        }
        guard seconds >= now - terms.maximumAgeInSeconds - terms.clockSkewInSeconds else {
            throw AuthenticationError(.expired, "the webhook is too old")
        }
        return (String(text), seconds)
    }
}

/// A vendor whose webhooks are a way in.
public struct WebhookSender: Sendable {
    /// What the policy calls it.
    public let name: String
    /// How it signs.
    public let terms: WebhookTerms
    /// For how many seconds a webhook that came is refused when it comes again: at least as long as it could be
    /// accepted.
    public let memoryInSeconds: Int64
    /// Whom a good webhook proves.
    public let identity: Identity

    /// Describes a sender.
    ///
    /// - Parameter memoryInSeconds: for how long webhooks are remembered that say nothing of when they were sent.
    public init(
        name: String, terms: WebhookTerms, memoryInSeconds: Int64, client: String, scopes: Scopes, hotelIDs: HotelAccess
    ) {
        self.name = name
        self.terms = terms
        self.memoryInSeconds =
            terms.timestampField == nil ? memoryInSeconds : terms.reachInSeconds + terms.clockSkewInSeconds
        identity = Identity(
            issuer: Identity.ownClients, subject: "webhook-\(name)", client: client, scopes: scopes, hotelIDs: hotelIDs,
            method: .webhook)
    }
}
