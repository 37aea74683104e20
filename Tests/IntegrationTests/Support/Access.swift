import Authentication
import Cryptography
import JSONText
import Loop
import Testing

/// Tokens and API keys of an installation, as its clients get them.
extension Node {
    nonisolated static let access = "/api/booking-engine/auth"
    nonisolated static let hotels = "/api/booking-engine/hotels"

    /// Makes an API key by the command, and waits until every worker knows it.
    func apiKey(
        _ client: String, _ scopes: String = "hotel:read availability:read", hotel: Int? = nil, more: [String] = []
    ) async throws -> (key: String, id: String) {
        let place = hotel.map { ["--hotel", String($0)] } ?? ["--every-hotel"]
        let made = try await Files.run(
            [Node.program, "key", "create", "--client", client, "--scopes", scopes] + place + more,
            environment: ["DRAWBRIDGE_HOME": home])
        try #require(made.exit.isSuccess, "\(made.output)")
        let key = try #require(made.output.split(separator: "\n").first { $0.hasPrefix("dbk_") }).description
        let id = try #require(made.output.firstMatch(of: /key ([0-9]+), good until/)).output.1
        try await wait("the key to be known") { try await !self.statuses(key).contains(401) }
        return (key, String(id))
    }

    /// The statuses of requests with some credentials, asked often enough to meet every worker.
    func statuses(_ credentials: String, _ target: String = hotels) async throws -> Set<Int> {
        var statuses: Set<Int> = []
        for _ in 0..<12 { statuses.insert(try await gateway.send(.get(target, credentials)).status) }
        return statuses
    }

    /// Exchanges an API key for tokens.
    func exchange(_ key: String, _ json: String = "{}", idempotencyKey: String? = nil) async throws -> Answer {
        let request = TestRequest.post("\(Self.access)/token", key, json: json)
        return try await gateway.send(idempotencyKey.map { request.with("Idempotency-Key", $0) } ?? request)
    }

    /// The tokens that an API key is exchanged for.
    func tokens(_ key: String, _ json: String = "{}") async throws -> (access: String, refresh: String) {
        let answer = try await exchange(key, json)
        try #require(answer.status == 200, "\(answer.text)")
        return try answer.tokens
    }

    /// Exchanges a refresh token.
    ///
    /// - Parameter credentials: sent beside it.
    func refresh(_ token: String, _ credentials: String? = nil, idempotencyKey: String? = nil) async throws -> Answer {
        let request = TestRequest.post(
            "\(Self.access)/refresh", credentials, json: #"{"refresh_token":"\#(token)"}"#)
        return try await gateway.send(idempotencyKey.map { request.with("Idempotency-Key", $0) } ?? request)
    }

    /// Asks what there is to say about a token.
    func validate(_ token: String, _ credentials: String) async throws -> Answer {
        try await gateway.send(
            .post("\(Self.access)/validate-token", credentials, json: #"{"token":"\#(token)"}"#))
    }

    /// What `drawbridge token …` prints.
    func tokenCommand(_ arguments: String...) async throws -> (exit: ChildProcess.Exit, output: String) {
        try await Files.run([Self.program, "token"] + arguments, environment: ["DRAWBRIDGE_HOME": home])
    }

    /// The key ids of the published set.
    func publishedKeys() async throws -> [String] {
        try await gateway.send(.get("/.well-known/jwks.json")).elements("keys").compactMap { $0["kid"]?.string }
    }

    /// The claims of a token, unverified.
    func claims(_ token: String) throws -> JSONValue { try Self.part(token, 1) }

    /// A token's header.
    func header(_ token: String) throws -> JSONValue { try Self.part(token, 0) }

    private static func part(_ token: String, _ index: Int) throws -> JSONValue {
        let parts = token.split(separator: ".")
        let bytes = try #require(parts.count == 3 ? Base64.url.decode(String(parts[index])) : nil)
        return try JSONValue(parsing: bytes)
    }

    /// Sends a request to the bridge as somebody of whom a gateway's proof says who he is.
    func sendToBridge(_ request: TestRequest, as identity: Identity) async throws -> Answer {
        let requestID = "00112233445566778899aabbccddeeff"
        var request = request.with("X-Request-Id", requestID)
        let proof = try HopIdentity(keyFile: "\(home)/keys/hop.key").sign(
            identity, requestID: requestID, method: request.method, target: request.target, now: Int64(Loop.unixTime))
        request.fields.append(("Drawbridge-Identity", proof))
        return try await socket("bridge").send(request)
    }

    /// The value of a metric of one of its processes, such as `bridge` or `gateway-0`.
    func metric(_ name: String, of process: String = "bridge") async throws -> Double {
        let text = try await admin.send(.get("/metrics")).text
        let line = try #require(text.split(separator: "\n").first { $0.hasPrefix("\(name){process=\"\(process)\"") })
        return try #require(line.split(separator: " ").last.flatMap { Double($0) })
    }
}

extension Answer {
    /// The tokens in it.
    var tokens: (access: String, refresh: String) {
        get throws { (try #require(string("access_token"), "\(text)"), try #require(string("refresh_token"))) }
    }
}
