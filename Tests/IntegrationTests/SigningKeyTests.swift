import Authentication
import Cryptography
import Glibc
import JSONText
import Loop
import Testing

/// What happens to the keys that sign tokens, in installations of their own.
@Suite("The keys that sign tokens")
struct SigningKeyTests {
    init() { Loop.runInBackground() }

    private static let states = "SELECT state FROM drawbridge.signing_keys ORDER BY made_at, kid"

    @Test("Keys are rotated, their master key is changed, and processes die, while requests run: none is refused")
    @OnLoop func rotation() async throws {
        let node = try Node(ownsPolicies: true)
        // What is counted here is not how often is asked.
        try Files.change(
            "\(node.policies)/rate-limits.yaml", "burst: 120\n    requests: 120\n    per: 1 min",
            to: "burst: 100000\n    requests: 100000\n    per: 1 s")
        try await node.start()
        let (key, _) = try await node.apiKey("rotating")
        let load = TokenLoad(node, key)
        let task = Task { try await load.run() }
        // Whatever comes of this test, the next ones have the loop for themselves.
        defer { load.stop() }
        try await wait("tokens to be in use") { load.uses > 50 }

        // This installation is a copy of one whose keys may be as old as the run of all tests.
        _ = try await node.rows("UPDATE drawbridge.signing_keys SET made_at = now(), state_since = now()")
        var seen = Set(try await node.publishedKeys())
        for round in 1...3 {
            let before = try await node.value("SELECT kid FROM drawbridge.signing_keys WHERE state = 'current'")
            try await wait("a next key") { try await node.rows(Self.states).contains(["next"]) }
            let next = try await node.value("SELECT kid FROM drawbridge.signing_keys WHERE state = 'next'")
            // Others than the gateways may not have seen the next key.
            let early = try await node.tokenCommand("rotate-keys")
            #expect(!early.exit.isSuccess && early.output.contains("--at-once"), "\(early.output)")
            let rotated = try await node.tokenCommand("rotate-keys", "--at-once")
            #expect(rotated.exit.isSuccess, "\(rotated.output)")
            try await wait("tokens to be signed with it") {
                try node.header(try await node.tokens(key).access)["kid"]?.string == next
            }
            let published = try await node.publishedKeys()
            #expect(published.contains(before) && published.contains(next), "round \(round)")
            seen.formUnion(published)
            let used = load.uses
            try await wait("tokens to be used on") { load.uses > used + 50 }
        }
        #expect(seen.count >= 4)
        try await wait("the states of all") {
            try await node.rows(Self.states).map { $0[0] } == ["previous", "previous", "previous", "current", "next"]
        }
        // By its clock the bridge removes those whose tokens are gone, and lets the next one sign when it is due.
        _ = try await node.rows(
            """
            UPDATE drawbridge.signing_keys SET state_since = now() - INTERVAL '66 min' WHERE state = 'previous';
            UPDATE drawbridge.signing_keys
            SET made_at = made_at - INTERVAL '31 days', state_since = now() - INTERVAL '31 days'
            WHERE state IN ('current', 'next')
            """)
        try await wait("the schedule to be kept") {
            try await node.rows(Self.states).map { $0[0] } == ["previous", "current", "next"]
        }
        #expect(try await node.metric("drawbridge_bridge_signing_key_usable") == 1)
        #expect(try await node.metric("drawbridge_bridge_signing_key_seconds_left") > 29 * 86_400)

        let master = Files.text("\(node.home)/keys/master.key")
        let changed = try await node.tokenCommand("change-master-key")
        #expect(changed.exit.isSuccess && changed.output.contains("3 keys"), "\(changed.output)")
        #expect(Files.text("\(node.home)/keys/master.key") != master)
        #expect(Files.text("\(node.home)/keys/master.key.previous") == master)
        let list = try await node.tokenCommand("keys").output
        #expect(list.contains("current") && list.contains("previous"))
        // A bridge that starts anew opens them by the new one.
        kill(try node.processID("bridge"), SIGKILL)
        let used = load.uses
        try await wait("tokens to be used on", for: .seconds(60)) { load.uses > used + 200 }
        try await wait("tokens to be issued") { try await node.exchange(key).status == 200 }

        load.stop()
        try await task.value
        #expect(load.refusals == [], "\(load.refusals.prefix(3))")
        #expect(load.refreshes > 0)
        #expect(try await node.doctor().contains("master key"))
        #expect(try await node.stop().isSuccess)
    }

    @Test("Without the right master key no token is made, no key is replaced, and it is said; verifying goes on")
    @OnLoop func masterKey() async throws {
        let node = try Node()
        try await node.start()
        let (key, _) = try await node.apiKey("sealed")
        let tokens = try await node.tokens(key)
        let stored = try await node.rows("SELECT kid, encode(sealed_private_key, 'hex') FROM drawbridge.signing_keys")
        #expect(stored.count == 2 && !stored.description.contains("50524956"), "PRIV in the clear")
        let file = "\(node.home)/keys/master.key"
        let master = Files.text(file)

        for wrong in [Base64.standard.encode([UInt8](repeating: 7, count: 32)) + "\n", "noise\n", nil] {
            if let wrong { Files.write(wrong, to: file) } else { unlink(file) }
            let said = node.log.utf8.count
            kill(try node.processID("bridge"), SIGKILL)
            try await wait("it to be said", for: .seconds(60)) {
                String(decoding: node.log.utf8.dropFirst(said), as: UTF8.self).contains("tokens cannot be signed")
            }
            try await node.waitUntilGatewaysAreReady()
            let refused = try await node.exchange(key)
            expectProblem(refused, 503, "unavailable")
            #expect(refused["Retry-After"] != nil)
            expectProblem(try await node.refresh(tokens.refresh, key), 503, "unavailable")
            // One that nobody was given waits for no key.
            expectProblem(try await node.refresh(RefreshToken().text), 400, "invalid-grant")
            #expect(try await node.statuses(tokens.access) == [200])
            #expect(try await node.publishedKeys().count == 2)
            #expect(try await node.metric("drawbridge_bridge_signing_key_usable") == 0)
            let now = try await node.rows("SELECT kid, encode(sealed_private_key, 'hex') FROM drawbridge.signing_keys")
            #expect(now == stored)
            #expect(!node.log.contains(wrong?.prefix(20) ?? "no key of that kind"))
            let doctor = try await node.doctor()
            #expect(doctor.contains("master key"), "\(doctor)")
        }
        // Put back, it is taken without a restart, and nothing was spent meanwhile.
        Files.write(master, to: file)
        try await wait("tokens to be signed again") {
            try await node.metric("drawbridge_bridge_signing_key_usable") == 1
        }
        #expect(try await node.refresh(tokens.refresh, key).status == 200)

        // Whoever has lost it gives the keys up: what they signed is good no more, and others are made under the new one.
        unlink(file)
        let withdrawn = try await node.tokenCommand("rotate-keys", "--withdraw")
        #expect(withdrawn.exit.isSuccess, "\(withdrawn.output)")
        try await wait("their tokens to be refused") { try await node.statuses(tokens.access) == [401] }
        expectProblem(try await node.exchange(key), 503, "unavailable")
        #expect(try await node.rows(Self.states) == [])
        // That none counts is told at once, and not to be kept.
        let none = try await node.gateway.send(.get("/.well-known/jwks.json"))
        #expect(none.status == 200 && none.text == #"{"keys":[]}"#, "\(none.text)")
        #expect(none["Cache-Control"] == "no-cache")
        Files.write(Base64.standard.encode(SecureRandom.bytes(32)) + "\n", to: file)
        try await wait("others to be made") { try await node.metric("drawbridge_bridge_signing_key_usable") == 1 }
        #expect(try await node.statuses(try await node.tokens(key).access) == [200])
        #expect(try await Set(node.publishedKeys()).isDisjoint(with: stored.map { $0[0] }))

        // A key that somebody has put into the database opens nothing.
        let other = P256PrivateKey().publicKey.pem
        _ = try await node.rows(
            "UPDATE drawbridge.signing_keys SET sealed_private_key = '\\x\(String(repeating: "ab", count: 200))' WHERE state = 'current'"
        )
        #expect(other.contains("PUBLIC KEY"))
        kill(try node.processID("bridge"), SIGKILL)
        try await wait("the change to be noticed", for: .seconds(60)) {
            node.log.contains("was changed in the database")
        }
        #expect(try await node.stop().isSuccess)
    }

    @Test(
        "A bridge that is killed while tokens are refreshed leaves each family good or ended, never with two good tokens"
    )
    @OnLoop func killed() async throws {
        let node = try Node(ownsPolicies: true)
        try Files.change(
            "\(node.policies)/rate-limits.yaml", "burst: 120\n    requests: 120\n    per: 1 min",
            to: "burst: 100000\n    requests: 100000\n    per: 1 s")
        try await node.start()
        let (key, _) = try await node.apiKey("killed")
        for _ in 0..<5 {
            let families = try await concurrently(Array(0..<8)) { _ in try await node.tokens(key).refresh }
            let killer = Task { @OnLoop in
                try await Loop.sleep(for: .milliseconds(Int64.random(in: 0...60)))
                kill(try node.processID("bridge"), SIGKILL)
            }
            let outcomes = try await concurrently(families) { first -> (last: String, doubt: Bool) in
                var token = first
                for _ in 0..<50 {
                    guard let answer = try? await node.refresh(token, key) else { return (token, true) }
                    guard answer.status == 200 else { return (token, true) }
                    token = try answer.tokens.refresh
                }
                return (token, false)
            }
            try await killer.value
            try await wait("the bridge to be back", for: .seconds(60)) { try await node.exchange(key).status == 200 }
            for (first, outcome) in zip(families, outcomes) {
                // What the client has last is good, or was spent by a request whose answer was lost.
                let answer = try await node.refresh(outcome.last, key)
                #expect(answer.status == 200 || (outcome.doubt && answer.problem == "invalid-grant"), "\(answer.text)")
                // One that was spent long ago is good in no case, and ends whatever was left.
                expectProblem(try await node.refresh(first, key), 400, "invalid-grant")
                if answer.status == 200 {
                    expectProblem(try await node.refresh(try answer.tokens.refresh, key), 400, "invalid-grant")
                }
            }
        }
        #expect(try await node.stop().isSuccess)
    }

    @Test("Several bridges on one database agree which key signs, also when all find none at once")
    @OnLoop func severalBridges() async throws {
        let node = try Node()
        try await node.start()
        var bridges: [ChildProcess] = []
        defer { for bridge in bridges { bridge.send(signal: SIGKILL) } }
        for number in 0..<3 {
            let home = "\(node.directory)/other-\(number)"
            for directory in [home, "\(home)/run", "\(home)/keys"] { mkdir(directory, 0o700) }
            for name in ["hop.key", "master.key", "demo-issuer.public.pem"] {
                Files.write(Files.text("\(node.home)/keys/\(name)"), to: "\(home)/keys/\(name)")
            }
            let output = open("\(home)/log", O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
            defer { close(output) }
            bridges.append(
                try ChildProcess(
                    "/usr/bin/env",
                    [
                        "setpriv", "--pdeathsig", "KILL", "--", "\(Node.programs)/drawbridge-bridge", "--config",
                        node.policies, "--home", home,
                    ],
                    environment: [
                        "PATH": "/usr/bin:/bin", "DATABASE_URL": try node.variable("DATABASE_URL"),
                    ],
                    descriptors: [.null, .inherit(output), .inherit(output)]))
            try await wait("another bridge to be ready", for: .seconds(60)) {
                Files.text("\(home)/log").contains("bridge is ready")
            }
        }
        let hop = try HopIdentity(keyFile: "\(node.home)/keys/hop.key")
        let path = "/.well-known/jwks.json"
        func keys(_ socket: String) async throws -> Set<String> {
            let id = "00112233445566778899aabbccddeeff"
            var request = TestRequest(target: path, fields: [("X-Request-Id", id)])
            let proof = hop.sign(
                .anonymous, requestID: id, method: "GET", target: path, now: Int64(Loop.unixTime))
            request.fields.append(("Drawbridge-Identity", proof))
            let bridge = HTTPClient(endpoint: .unix(path: socket), host: "localhost")
            return Set(try await bridge.send(request).elements("keys").compactMap { $0["kid"]?.string })
        }
        var seen: Set<String> = []
        for _ in 0..<5 {
            #expect(try await node.tokenCommand("rotate-keys", "--withdraw").exit.isSuccess)
            try await wait("new keys") {
                try await node.rows(Self.states).map { $0[0] } == ["current", "next"]
            }
            let stored = Set(try await node.rows("SELECT kid FROM drawbridge.signing_keys").map { $0[0] })
            #expect(stored.count == 2 && seen.isDisjoint(with: stored))
            seen.formUnion(stored)
            for number in 0..<3 {
                try await wait("all bridges to publish them") {
                    try await keys("\(node.directory)/other-\(number)/run/bridge.sock") == stored
                }
            }
            try await wait("the installation's own bridge to publish them") {
                try await Set(node.publishedKeys()) == stored
            }
        }
        for number in 0..<3 {
            let log = Files.text("\(node.directory)/other-\(number)/log")
            #expect(!log.contains("\"level\":\"error\""), "\(log.suffix(2000))")
        }
        #expect(try await node.stop().isSuccess)
    }

    @Test("While the database is away tokens are believed and none is given; then all goes on, and the ledger has it")
    @OnLoop func databaseAway() async throws {
        let node = try Node()
        try await node.start()
        let (key, id) = try await node.apiKey("away")
        let first = try await node.exchange(key)
        let tokens = try first.tokens
        #expect(try await node.statuses(tokens.access) == [200])
        let sessions = try await node.rows("SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
        let database = [try node.processID("postgresql")] + sessions.compactMap { Int32($0[0]) }
        func signal(_ number: Int32) { for process in database { kill(process, number) } }
        signal(SIGSTOP)
        defer { signal(SIGCONT) }
        expectProblem(try await node.exchange(key), 503, "unavailable")
        #expect(try await node.statuses(tokens.access) == [200])
        #expect(try await node.validate(tokens.access, key).value("valid") == .bool(true))
        #expect(try await node.publishedKeys().count == 2)
        signal(SIGCONT)
        try await wait("tokens to be given again", for: .seconds(60)) { try await node.exchange(key).status == 200 }
        let refreshed = try await node.refresh(tokens.refresh, key)
        let reused = try await node.refresh(tokens.refresh)
        #expect(refreshed.status == 200 && reused.status == 400)
        #expect(try await node.stop().isSuccess)

        // Who got what, by names; what opens something stands nowhere.
        let claims = try node.claims(tokens.access)
        let family = try #require(claims["sid"]?.string)
        let text = Files.names(in: "\(node.home)/ledger/records").filter { $0.hasSuffix(".jsonl") }
            .map { Files.text("\(node.home)/ledger/records/\($0)") }.joined()
        let new = try node.claims(try refreshed.tokens.access)
        for (answer, jti) in [(first, claims["jti"]?.string), (refreshed, new["jti"]?.string), (reused, nil)] {
            let name = jti.map { #""jti":"\#($0)","# } ?? ""
            let credential = #""credential":{"api_key":\#(id),"client":"away",\#(name)"family":"\#(family)"}"#
            let line = text.split(separator: "\n").first {
                $0.contains(answer["X-Request-Id"] ?? "?") && $0.contains(#""log_name":"outcome""#)
            }
            #expect(line?.contains(credential) == true, "\(line ?? "nothing")")
        }
        for secret in [key, tokens.access, tokens.refresh, try refreshed.tokens.refresh] {
            #expect(!text.contains(secret))
        }
    }
}

/// Clients that keep using, refreshing and asking for tokens while something happens, and what was refused to them.
@OnLoop
private final class TokenLoad {
    private(set) var uses = 0
    private(set) var refreshes = 0
    /// Answers that say that credentials are no good.
    private(set) var refusals: [String] = []
    private let node: Node
    private let key: String
    private var isOver = false

    init(_ node: Node, _ key: String) {
        self.node = node
        self.key = key
    }

    func stop() { isOver = true }

    func run() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<3 { group.addTask { try await self.client(number) } }
            try await group.waitForAll()
        }
    }

    private func client(_ number: Int) async throws {
        var tokens: (access: String, refresh: String)?
        while !isOver {
            guard let held = tokens else {
                // A process that dies breaks connections; that is no refusal.
                let answer = try? await node.exchange(key)
                note(answer)
                tokens = try? answer?.tokens
                continue
            }
            for _ in 0..<5 {
                guard let answer = try? await node.gateway.send(.get(Node.hotels, held.access)) else { continue }
                note(answer)
                if answer.status == 200 { uses += 1 }
            }
            guard let answer = try? await node.refresh(held.refresh, key), answer.status < 500 else {
                // Whether it was spent is not known: begin anew, as clients do.
                tokens = nil
                continue
            }
            note(answer)
            tokens = try? answer.tokens
            if tokens != nil { refreshes += 1 }
        }
    }

    private func note(_ answer: Answer?) {
        guard let answer, answer.status != 200, answer.status < 500 else { return }
        refusals.append("\(answer.status) \(answer.text)")
    }
}
