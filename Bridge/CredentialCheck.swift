internal import Authentication
internal import Cryptography
internal import HTTP
internal import Loop
internal import Postgres
internal import Server

/// Checks by itself who asks for credentials: a gateway's word is enough for anything else, but what would be made here
/// outlives a gateway that somebody has taken over. Such routes pass the client's `Authorization` on.
@OnLoop
struct CredentialCheck {
    private let database: Database
    private let examiner: TokenExaminer

    init(_ database: Database, _ examiner: TokenExaminer) {
        self.database = database
        self.examiner = examiner
    }

    /// - Throws: `BridgeError.credentialsUnproven` where what the client has sent does not prove what the gateway says.
    func check(_ call: Call) async throws {
        let fields = call.request.head.fields
        guard fields.count(of: .authorization) == 1, let field = fields.bytes(of: .authorization),
            let credentials = try? BearerCredentials(field.span), credentials.method == call.identity.method,
            try await isProven(call.identity, by: field.span.extracting(credentials.range))
        else { throw BridgeError.credentialsUnproven }
    }

    private func isProven(_ identity: Identity, by credentials: Span<UInt8>) async throws -> Bool {
        guard identity.method == .apiKey else { return try examiner.identity(of: credentials) == identity }
        let hash = Hexadecimal.encode(SHA256.hash(credentials).bytes)
        guard let key = try await database.first(TokenStatements.keyByHash(hash)) else { return false }
        return key.isGood && key.identity == identity
    }
}
