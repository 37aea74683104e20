import Glibc
import Loop
import Testing

/// Revokes tokens of an issuer, by the command and by hand.
@Suite("Revoked tokens through both processes")
struct TokenRevocationTests {
    init() { Loop.runInBackground() }

    private static let hotels = "/api/booking-engine/hotels"

    /// Status of a request with a token, in whichever worker's hands it falls: asked often enough to meet all.
    @OnLoop
    private func statuses(_ node: Node, _ token: String) async throws -> Set<Int> {
        var statuses: Set<Int> = []
        for _ in 0..<12 { statuses.insert(try await node.gateway.send(.get(Self.hotels, token)).status) }
        return statuses
    }

    @OnLoop
    private func command(
        _ node: Node, _ arguments: String..., input: String? = nil
    ) async throws -> (exit: ChildProcess.Exit, output: String) {
        let path = "\(node.home)/token-input"
        Files.write(input ?? "", to: path)
        return try await Files.run(
            ["sh", "-c", "exec \"$0\" token \"$@\" < '\(path)'", Node.program] + arguments,
            environment: ["DRAWBRIDGE_HOME": node.home])
    }

    @Test("A token that every worker remembers opens nothing within a second, by command or by hand")
    @OnLoop func revocation() async throws {
        let node = try await Node.shared()
        for (number, way) in ["command", "token", "hand"].enumerated() {
            let tokenID = "revoked-\(number)"
            let (token, other) = try (
                node.token { $0.tokenID = tokenID }, node.token { $0.tokenID = "\(tokenID)-other" }
            )
            for token in [token, other] { #expect(try await statuses(node, token) == [200]) }
            switch way {
            case "command":
                let result = try await command(node, "revoke", tokenID, "--reason", "left in a log")
                #expect(result.exit.isSuccess, "\(result.output)")
            case "token":
                let result = try await command(node, "revoke", "-", input: token + "\n")
                #expect(result.exit.isSuccess, "\(result.output)")
                #expect(!result.output.contains("no issuer"))
            default: _ = try await node.rows("INSERT INTO drawbridge.revoked_tokens (jti) VALUES ('\(tokenID)')")
            }
            try await wait("it to be refused by every worker") { try await self.statuses(node, token) == [401] }
            #expect(try await statuses(node, token) == [401], "\(way)")
            let answer = try await node.gateway.send(.get(Self.hotels, token))
            expectProblem(answer, 401, "unauthorized")
            #expect(answer.string("detail") == "Valid credentials are needed")
            #expect(try await statuses(node, other) == [200])
        }
        let list = try await command(node, "revoked").output
        for text in ["revoked-0", "every issuer", "left in a log", "revoked-1", Token().issuer] {
            #expect(list.contains(text), "\(list)")
        }
        // The token's own end, not that of one whose end nobody said.
        let ends = try await node.rows(
            "SELECT jti, expires_at < now() + INTERVAL '2 hours' FROM drawbridge.revoked_tokens WHERE jti LIKE 'revoked-_'"
        )
        #expect(Set(ends) == [["revoked-0", "f"], ["revoked-1", "t"], ["revoked-2", "f"]])
    }

    @Test("A worker and a bridge that are started anew know what was revoked before")
    @OnLoop func restart() async throws {
        let node = try Node()
        try await node.start()
        let token = try node.token { $0.tokenID = "before" }
        #expect(try await statuses(node, token) == [200])
        #expect(try await command(node, "revoke", "before").exit.isSuccess)
        try await wait("it to be refused") { try await self.statuses(node, token) == [401] }
        kill(try node.processID("gateway-0"), SIGKILL)
        kill(try node.processID("bridge"), SIGKILL)
        let other = try node.token()
        try await wait("the node to be back") {
            // Meanwhile it may say that it cannot know, never that the token is good.
            let seen = (try? await self.statuses(node, token)) ?? [503]
            #expect(seen.isSubset(of: [401, 502, 503]), "\(seen)")
            return (try? await self.statuses(node, other)) == [200]
        }
        #expect(try await statuses(node, token) == [401])
        #expect(try await node.stop().isSuccess)
    }

    @Test("Revocations whose tokens have expired are removed, and what cannot be held is refused where it is written")
    @OnLoop func bounds() async throws {
        let node = try await Node.shared()
        _ = try await node.rows(
            """
            INSERT INTO drawbridge.revoked_tokens (jti, expires_at)
            VALUES ('over', now() - INTERVAL '6 minutes'), ('nearly', now() - INTERVAL '1 minute')
            """)
        try await wait("the expired one to be removed") {
            try await node.rows("SELECT jti FROM drawbridge.revoked_tokens WHERE jti IN ('over', 'nearly')") == [
                ["nearly"]
            ]
        }
        for statement in [
            "INSERT INTO drawbridge.revoked_tokens (jti) SELECT 'many-' || n FROM generate_series(1, 10001) AS n",
            "INSERT INTO drawbridge.revoked_tokens (jti) VALUES ('')",
            "INSERT INTO drawbridge.revoked_tokens (jti) VALUES (repeat('x', 256))",
        ] {
            let result = try await Files.run(
                ["psql", "-X", "-v", "ON_ERROR_STOP=1", "-d", try node.variable("DATABASE_URL"), "-c", statement])
            #expect(!result.exit.isSuccess, "\(statement)")
        }
        // Nobody but a gateway is told.
        #expect(try await node.socket("bridge").send(.get("/drawbridge/revoked-tokens")).status == 421)
    }

    @Test("The command says what it needs")
    @OnLoop func usage() async throws {
        let node = try await Node.shared()
        for arguments in [
            [], ["revoke"], ["revoke", ""], ["revoke", "x", "--until", "soon"], ["revoke", "x", "--issuer"],
            ["revoke", "x", "--until", "1"], ["forget", "x"], ["revoke", "x", "y"],
        ] {
            let result = try await Files.run(
                [Node.program, "token"] + arguments, environment: ["DRAWBRIDGE_HOME": node.home])
            #expect(!result.exit.isSuccess, "\(arguments)")
        }
        let unknown = try await command(node, "revoke", "x", "--issuer", "https://nobody.example")
        #expect(unknown.exit.isSuccess && unknown.output.contains("no issuer of that name"))
        #expect(try await !command(node, "revoke", "-", input: "nonsense\n").exit.isSuccess)
    }
}
