import JSONText
import Loop
import Testing

@Suite("What tokens say, and whom they speak for")
struct TokenQuestionTests {
    init() { Loop.runInBackground() }

    @Test("A client learns about its own tokens, an administrator about those of his hotels, and nobody about others")
    @OnLoop func validation() async throws {
        let node = try await Node.shared()
        let (key, _) = try await node.apiKey("asker", "hotel:read", hotel: 2)
        let (stranger, _) = try await node.apiKey("asker-stranger", "hotel:read booking:write")
        let (admin, _) = try await node.apiKey("asker-admin", "admin", hotel: 2)
        let (elsewhere, _) = try await node.apiKey("asker-elsewhere", "admin", hotel: 3)
        let everywhere = try node.variable("ADMIN_API_KEY")
        let access = try await node.tokens(key).access

        for credentials in [key, access, admin, everywhere] {
            let answer = try await node.validate(access, credentials)
            #expect(answer.status == 200 && answer["Cache-Control"] == "no-store")
            #expect(answer.value("valid") == .bool(true), "\(answer.text)")
            #expect(answer.string("client_id") == "asker" && answer.string("subject")?.hasPrefix("api-key-") == true)
            #expect(answer.value("scopes") == .array([.string("hotel:read")]))
            #expect(answer.value("hotel_ids") == .array([.integer(2)]))
            #expect(answer.string("expires_at")?.hasSuffix("Z") == true)
        }
        // Whatever it is that one may not know: the same answer.
        let noise = try await node.validate("noise", stranger)
        #expect(noise.text == #"{"valid":false,"reason":"unknown"}"#)
        for credentials in [stranger, elsewhere] {
            #expect(try await node.validate(access, credentials).content == noise.content)
        }
        // Of every hotel's token, who administers one hotel learns nothing.
        let ofAll = try await node.tokens(stranger).access
        #expect(try await node.validate(ofAll, admin).content == noise.content)
        #expect(try await node.validate(ofAll, everywhere).value("valid") == .bool(true))

        // Tokens of the issuers that are believed, too.
        let issued = try node.token()
        #expect(try await node.validate(issued, everywhere).string("client_id") == "integration-tests")
        #expect(try await node.validate(issued, issued).value("valid") == .bool(true))
        #expect(try await node.validate(issued, key).content == noise.content)
        let expired = try node.token { ($0.issued, $0.expiry) = (-120, -60) }
        for (token, reason) in [
            (expired, "expired"), (try node.token { $0.notBefore = 60 }, "not_yet_valid"),
            (try node.token { $0.audience = "elsewhere" }, "unknown"), (issued + "A", "unknown"),
            (try node.token { $0.keyID = "none" }, "unknown"), (key, "unknown"),
        ] {
            let answer = try await node.validate(token, everywhere)
            #expect(answer.value("valid") == .bool(false) && answer.string("reason") == reason, "\(answer.text)")
        }
        // An expired one of somebody else's is no less unknown.
        #expect(try await node.validate(expired, key).content == noise.content)
    }

    @Test("A revoked token is said to be, by its own id or its family's")
    @OnLoop func revoked() async throws {
        let node = try await Node.shared()
        let (key, _) = try await node.apiKey("asker-revoked", "hotel:read")
        for claim in ["jti", "sid"] {
            let access = try await node.tokens(key).access
            let id = try #require(try node.claims(access)[claim]?.string)
            #expect(try await node.tokenCommand("revoke", id, "--issuer", "urn:drawbridge:tokens").exit.isSuccess)
            try await wait("it to be known") {
                try await node.validate(access, key).text == #"{"valid":false,"reason":"revoked"}"#
            }
            try await wait("it to be refused") { try await node.statuses(access) == [401] }
        }
    }

    @Test("A client sees the PMS's user for whom it speaks, by name and role, and no other; an administrator any")
    @OnLoop func users() async throws {
        let node = try await Node.shared()
        let (key, _) = try await node.apiKey("speaker")
        let (named, _) = try await node.apiKey("speaker-named", more: ["--user", "1"])
        func user(_ id: String, _ credentials: String?) async throws -> Answer {
            try await node.gateway.send(.get("\(Node.access)/user/\(id)", credentials))
        }
        for credentials in [key, try await node.tokens(key).access, try node.token()] {
            let answer = try await user("2", credentials)
            #expect(answer.text == #"{"user_id":2,"name":"Drawbridge","role":"エディター"}"#)
            #expect(answer["Cache-Control"] == "private, no-cache")
            expectProblem(try await user("1", credentials), 404, "user-not-found")
        }
        for credentials in [named, try await node.tokens(named).access] {
            #expect(try await user("1", credentials).string("role") == "アドミン")
            expectProblem(try await user("2", credentials), 404, "user-not-found")
        }
        let admin = try node.variable("ADMIN_API_KEY")
        for id in ["1", "2"] { #expect(try await user(id, admin).status == 200) }
        expectProblem(try await user("999", admin), 404, "user-not-found")
        expectProblem(try await user("0", admin), 404, "not-found")
        expectProblem(try await user("2147483648", admin), 404, "not-found")
        expectProblem(try await user("one", admin), 404, "not-found")
        expectProblem(try await user("2", nil), 401, "unauthorized")
    }

    @Test("Everybody gets the published keys, may keep them for a while, and finds no private part in them")
    @OnLoop func keySet() async throws {
        let node = try await Node.shared()
        let answer = try await node.gateway.send(.get("/.well-known/jwks.json"))
        #expect(answer.status == 200 && answer["Content-Type"] == "application/json")
        #expect(answer["Cache-Control"] == "public, max-age=300")
        #expect(answer.elements("keys").count >= 2)
        for key in answer.elements("keys") {
            #expect(key["kty"]?.string == "EC" && key["crv"]?.string == "P-256" && key["alg"]?.string == "ES256")
            #expect(key["use"]?.string == "sig" && key["d"] == nil)
        }
        let tag = try #require(answer["ETag"])
        let again = TestRequest.get("/.well-known/jwks.json").with("If-None-Match", tag)
        #expect(try await node.gateway.send(again).status == 304)
        // Credentials do not matter, not even bad ones.
        #expect(try await node.gateway.send(.get("/.well-known/jwks.json", "noise")).content == answer.content)
        let post = TestRequest.post("/.well-known/jwks.json", nil, json: "{}")
        expectProblem(try await node.gateway.send(post), 405, "method-not-allowed")
    }
}
