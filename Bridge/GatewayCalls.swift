internal import Authentication
internal import HTTP
internal import JSONText
internal import Loop
internal import Server

/// What gateways ask of the bridge of their own accord. No client gets here: the paths are in no route table, and the
/// proof that a request is a gateway's own is another than the one that comes with a client's.
@OnLoop
struct GatewayCalls {
    private static let prefix = "/drawbridge/"
    private static let contentBound = 1 << 20

    private let hop: HopIdentity
    private let keys: APIKeyDirectory
    private let tokens: TokenRevocationDirectory
    private let issuers: IssuerKeyDirectory

    init(
        hop: HopIdentity, keys: APIKeyDirectory, tokens: TokenRevocationDirectory, issuers: IssuerKeyDirectory
    ) {
        self.hop = hop
        self.keys = keys
        self.tokens = tokens
        self.issuers = issuers
    }

    /// Whether a request is meant for here.
    func isMeant(by request: Request) -> Bool { request.head.target.path.hasPrefix(Self.prefix) }

    func answer(_ request: Request) async throws -> Answer {
        try check(request)
        switch (request.head.method, request.head.target.path) {
        case (.get, "/drawbridge/api-keys"):
            return .json(try await keys.state(unlike: knownVersion(request)))
        case (.get, "/drawbridge/revoked-tokens"):
            return .json(try await tokens.state(unlike: knownVersion(request)))
        case (.get, "/drawbridge/issuer-keys"):
            return .json(try await issuers.state(unlike: knownVersion(request)))
        case (.post, "/drawbridge/issuer-keys"):
            let content = try await request.body.collect(upTo: Self.contentBound)
            guard let wanted = try? JSONValue(parsing: content), let issuer = wanted["issuer"]?.string,
                let keyID = wanted["kid"]?.string
            else { throw BridgeError.malformed([("", "an issuer and a kid are needed")]) }
            return .json(await issuers.state(lookingFor: keyID, of: issuer))
        case (.post, "/drawbridge/api-keys/uses"):
            try await keys.note(uses: try uses(in: try await request.body.collect(upTo: Self.contentBound)))
            return .json(Array("{}".utf8))
        default: throw BridgeError.unknownPath
        }
    }

    private func knownVersion(_ request: Request) -> Int64? {
        let query = request.head.target.query ?? ""
        return query.hasPrefix("version=") ? Int64(query.dropFirst("version=".utf8.count)) : nil
    }

    private func check(_ request: Request) throws {
        let fields = request.head.fields
        guard fields.count(of: .drawbridgeIdentity) == 1, let header = fields.bytes(of: .drawbridgeIdentity) else {
            throw AuthenticationError(.badHop, "not exactly one identity header")
        }
        try hop.verifyOwn(
            header.span, requestID: request.id.description, method: request.head.method.rawValue,
            target: request.head.target.origin.span, now: Loop.unixSeconds)
    }

    private func uses(in content: [UInt8]) throws -> [Int32: Int64] {
        var uses: [Int32: Int64] = [:]
        for member in (try? JSONValue(parsing: content))?.members ?? [] {
            guard let id = Int32(member.name), let seconds = member.value.integer else {
                throw BridgeError.malformed([("/\(member.name)", "a key's number and Unix seconds are needed")])
            }
            uses[id] = seconds
        }
        return uses
    }
}
