import Authentication
import Cryptography
import Glibc
import Testing

@testable import Policy

@Suite("The gateway's policy")
struct GatewayPolicyTests {
    private let directory: TemporaryDirectory

    init() throws {
        directory = try TemporaryDirectory()
        for name in ["tls/certificate.pem", "tls/key.pem"] { try directory.write("x", to: name) }
    }

    private func load(_ text: String) throws -> GatewayPolicy {
        try GatewayPolicy.load(directory.write(text, to: "gateway.yaml"), installation: directory.path)
    }

    private func mistakes(_ text: String) throws -> [String] {
        let file = try directory.write(text, to: "gateway.yaml")
        return PolicyTests.mistakes { () throws(PolicyError) in
            _ = try GatewayPolicy.load(file, installation: directory.path)
        }.map { "\($0.line): \($0.key)" }
    }

    private let least = """
        listeners:
          - {name: public, address: "127.0.0.1:0"}
          - {name: admin, address: "[::1]:0"}
        upstream: {socket: run/bridge.sock}

        """

    @Test("The repository's file is in order")
    func repository() throws {
        let policy = try GatewayPolicy.load(
            TemporaryDirectory.repository + "/gateway.yaml", installation: directory.path)
        #expect(policy.listeners.map(\.name) == ["public", "admin"])
        #expect(policy.listeners.first?.tls?.minimumVersion == .tls13)
        #expect(policy.listeners.first?.tls?.certificateFile == directory.path + "/tls/certificate.pem")
        #expect(policy.limits == GatewayPolicy.ServerLimits())
        #expect(policy.timeouts == GatewayPolicy.ServerTimeouts())
        #expect(policy.upstream == GatewayPolicy.Upstream(socketPath: directory.path + "/run/bridge.sock"))
    }

    @Test("What is left out has its default")
    func defaults() throws {
        let policy = try load(least)
        #expect(policy.limits == GatewayPolicy.ServerLimits())
        #expect(policy.drainTimeout == .seconds(30))
    }

    @Test("What is written is taken")
    func values() throws {
        let policy = try load(
            least + """
                limits: {maximum_body: 2 MiB, maximum_field_count: 50, maximum_header_bytes_per_address: 64 KiB}
                timeouts: {header: 3 s}
                drain_timeout: 1 min
                """)
        #expect(policy.limits.maximumBody == .mebibytes(2))
        #expect(policy.limits.maximumFieldCount == 50)
        #expect(policy.limits.maximumHeaderBytesPerAddress == .kibibytes(64))
        #expect(policy.timeouts.header == .seconds(3))
        #expect(policy.drainTimeout == .seconds(60))
    }

    @Test("The ledger is kept as the file says, and as the defaults say without it")
    func ledger() throws {
        #expect(try load(least).ledger == LedgerPolicy())
        let policy = try load(
            least + """
                ledger:
                  deadline: 500 ms
                  segment_size: 1 MiB
                  segment_age: 1 h
                  checkpoint_records: 5
                  checkpoint_interval: 3 s
                  retention: 90 days
                  retained_size: 1024 MiB
                  witness_file: elsewhere/checkpoints
                  witness_url: "http://[::1]:99/take?it=1"
                """
        ).ledger
        #expect(policy.deadline == .milliseconds(500))
        #expect(policy.segmentSize == .mebibytes(1))
        #expect(policy.segmentAge == .seconds(3600))
        #expect(policy.checkpointRecords == 5)
        #expect(policy.checkpointInterval == .seconds(3))
        #expect(policy.retention == .seconds(90 * 86_400))
        #expect(policy.retainedSize == .mebibytes(1024))
        #expect(policy.witnessFile == directory.path + "/elsewhere/checkpoints")
        #expect(policy.witnessURL?.address == SocketAddress("[::1]:99"))
        #expect(policy.witnessURL?.path == "/take?it=1")
    }

    @Test(
        "A witness is reached in the clear on this machine only",
        arguments: ["https://127.0.0.1:9/", "http://192.0.2.1:9/", "http://witness.example/", "http://127.0.0.1/", "x"])
    func witness(url: String) throws {
        #expect(try mistakes(least + "ledger: {witness_url: \"\(url)\"}") == ["5: ledger.witness_url"])
    }

    @Test("An absolute path is left as it is")
    func absolutePath() throws {
        let policy = try load(least.replacing("run/bridge.sock", with: "/run/drawbridge/bridge.sock"))
        #expect(policy.upstream.socketPath == "/run/drawbridge/bridge.sock")
    }

    @Test("All mistakes of a file are reported in one go, in its order")
    func allMistakes() throws {
        let found = try mistakes(
            """
            listeners:
              - name: public
                address: 0.0.0.0:80
              - name: public
                address: localhost:80
                tls: {certificate: nowhere.pem, key: tls/key.pem, minimum_version: "1.1"}
            limits:
              maximum_body: 1 GB
              maximum_field_count: many
              maximum_connections: 0
            timeouts: 10 s
            upstream:
              connect_timeout: 1 day
              sokcet: x
            drain_timeout: yes
            """)
        #expect(
            found == [
                "3: listeners[0].address", "5: listeners[1].address", "6: listeners[1].tls.certificate",
                "6: listeners[1].tls.minimum_version", "8: limits.maximum_body", "9: limits.maximum_field_count",
                "10: limits.maximum_connections", "11: timeouts", "13: upstream.socket",
                "13: upstream.connect_timeout", "14: upstream.sokcet", "15: drain_timeout",
            ])
    }

    @Test("A mistake names file, line, key, what was found and what was expected")
    func mistakeText() throws {
        let file = try directory.write(least + "drain_timeout: 5\n", to: "gateway.yaml")
        let mistakes = PolicyTests.mistakes { () throws(PolicyError) in
            _ = try GatewayPolicy.load(file, installation: directory.path)
        }
        #expect(
            mistakes.map(\.description) == [
                "\(file):5:16: drain_timeout: found 5, expected a time such as 500 ms, 10 s, 5 min, 2 h, 90 days"
            ])
    }

    @Test(
        "Plain HTTP is refused on any address others can reach", arguments: ["0.0.0.0:80", "[::]:80", "192.0.2.1:80"])
    func plainHTTP(address: String) throws {
        #expect(try mistakes(least.replacing("127.0.0.1:0", with: address)) == ["2: listeners[0].address"])
    }

    @Test("Two listeners of one name are a mistake")
    func sameName() throws {
        let text = least.replacing("upstream", with: "  - {name: public, address: \"127.0.0.1:1\"}\nupstream")
        #expect(try mistakes(text) == ["4: listeners[2]"])
    }

    @Test(
        "A name that sockets cannot be handed down under is refused",
        arguments: ["\"a:b\"", "process-admin", "\"a b\"", "\"\"", String(repeating: "a", count: 65)])
    func listenerName(name: String) throws {
        #expect(try mistakes(least.replacing("public", with: name)) == ["2: listeners[0].name"])
    }

    @Test("A listener for health and metrics must be there, and one for clients")
    func listenerKinds() throws {
        #expect(try mistakes(least.replacing("name: admin", with: "name: other")) == ["2: listeners"])
        let adminAlone = "listeners: [{name: admin, address: \"127.0.0.1:0\"}]\nupstream: {socket: s}"
        #expect(try mistakes(adminAlone) == ["1: listeners"])
    }

    @Test("Health and metrics are for this machine alone, with a certificate or without")
    func adminAddress() throws {
        let tls = "tls: {certificate: tls/certificate.pem, key: tls/key.pem}"
        let text = least.replacing("\"[::1]:0\"", with: "\"0.0.0.0:9443\", \(tls)")
        #expect(try mistakes(text) == ["3: listeners[1].address"])
    }

    @Test("A file that is missing, empty, a directory or too large is a mistake of its own")
    func unreadable() throws {
        try directory.write("", to: "empty.yaml")
        try directory.write(String(repeating: "#", count: 5 << 20), to: "large.yaml")
        for name in ["missing.yaml", "empty.yaml", "large.yaml", "tls"] {
            let mistakes = PolicyTests.mistakes { () throws(PolicyError) in
                _ = try GatewayPolicy.load("\(directory.path)/\(name)", installation: directory.path)
            }
            #expect(mistakes.map(\.line) == [0], "\(name)")
        }
    }

    @Test("A file that is no mapping is a mistake", arguments: ["[]", "text", "12"])
    func otherShape(text: String) throws { #expect(try mistakes(text) == ["1: "]) }
}

@Suite("The bridge's policy")
struct BridgePolicyTests {
    private func load(_ text: String) throws -> BridgePolicy {
        let directory = try TemporaryDirectory()
        return try BridgePolicy.load(directory.write(text, to: "bridge.yaml"))
    }

    private let least = "pms_writer: {user_id: 7, agent_name: Web}\n"

    @Test("The repository's file is in order")
    func repository() throws {
        let policy = try BridgePolicy.load(TemporaryDirectory.repository + "/bridge.yaml")
        #expect(policy.availability == BridgePolicy.Availability())
        #expect(policy.database == BridgePolicy.Database())
        #expect(policy.hotel(1) == BridgePolicy.Hotel())
        #expect(policy.writer == BridgePolicy.PMSWriter(userID: 2, agentName: "Drawbridge"))
        #expect(policy.maximumRequestBody == .kibibytes(64))
        #expect(policy.pmsWrites == BridgePolicy.PMSWrites())
        #expect(policy.retention == BridgePolicy.Retention())
    }

    @Test("What is written of writes that fail is taken")
    func writes() throws {
        let policy = try load(
            least + """
                pms_writes:
                  attempts: 5
                  initial_delay: 500 ms
                  multiplier: 3
                  longest_delay: 1 min
                  jitter_percentage: 0
                  retryable_errors: [busy, timed_out]
                retention: {pms_write_days: 7}
                """)
        #expect(policy.pmsWrites.attempts == 5 && policy.pmsWrites.multiplier == 3)
        #expect(policy.pmsWrites.initialDelay == .milliseconds(500) && policy.pmsWrites.longestDelay == .seconds(60))
        #expect(policy.pmsWrites.jitterPercentage == 0)
        #expect(policy.pmsWrites.retryableErrors == [.busy, .timedOut])
        #expect(policy.retention.pmsWriteDays == 7)
    }

    @Test("A hotel's own entry goes over the defaults, key by key")
    func overrides() throws {
        let policy = try load(
            least + """
                hotel_defaults: {time_zone: Asia/Seoul, currency: KRW}
                hotels:
                  - {hotel_id: 12, currency: USD}
                """)
        #expect(policy.hotel(1).currency == "KRW")
        #expect(policy.hotel(12).currency == "USD")
        #expect(policy.hotel(12).timeZone == "Asia/Seoul")
    }

    @Test(
        "Impossible values are refused",
        arguments: [
            "hotel_defaults: {time_zone: Asia/Atlantis}", "hotel_defaults: {time_zone: ../../etc/passwd}",
            "hotel_defaults: {time_zone: /etc/passwd}", "hotel_defaults: {currency: yen}",
            "hotels: [{currency: JPY}]", "hotels: [{hotel_id: 1}, {hotel_id: 1}]", "database: {pool_size: 0}",
            "availability: {maximum_nights: 31}", "availability: {refresh_share: 0}",
            "availability: {maximum_age: 1 min}", "hotel_defaults: {currency: XYZ}", "availability: {window: 500}",
            "maximum_request_body: 64", "pms_writes: {attempts: 0}", "pms_writes: {jitter_percentage: 51}",
            "pms_writes: {initial_delay: 31 s, longest_delay: 30 s}", "pms_writes: {retryable_errors: [refused]}",
            "pms_writes: {retryable_errors: busy}", "pms_writes: {tries: 3}",
            "pms_writes: {when_unreachable: pending}", "pms_writes: {when_unreachable: queue}",
            "retention: {pms_write_days: 0}",
        ])
    func refused(line: String) throws {
        let directory = try TemporaryDirectory()
        let file = try directory.write(least + line, to: "bridge.yaml")
        let found = mistakes { () throws(PolicyError) in _ = try BridgePolicy.load(file) }
        #expect(found.map(\.line) == [2])
    }

    @Test("Without a PMS user nothing is written, so it must be named")
    func writer() throws {
        let directory = try TemporaryDirectory()
        let file = try directory.write("database: {}\n", to: "bridge.yaml")
        let found = mistakes { () throws(PolicyError) in _ = try BridgePolicy.load(file) }
        #expect(found.map(\.key) == ["pms_writer"])
    }
}

@Suite("The issuers' policy")
struct IssuerPolicyTests {
    private let directory: TemporaryDirectory
    private let key = P256PrivateKey()

    init() throws {
        directory = try TemporaryDirectory()
        try directory.write(key.publicKey.pem, to: "keys/demo-issuer.public.pem")
        try directory.write(key.pem, to: "keys/private.pem")
        try directory.write(Base64.standard.encode(Array(0..<32)) + "\n", to: "keys/secret")
        try directory.write(Base64.standard.encode(Array(0..<31)), to: "keys/short")
    }

    private func found(_ keys: String, skew: String = "5 s") throws -> [String] {
        let file = try directory.write(
            """
            issuers:
              - issuer: a
                audience: b
                clock_skew: \(skew)
                keys: \(keys)
            """, to: "issuers.yaml")
        return mistakes { () throws(PolicyError) in
            _ = try IssuerPolicy.load(file, installation: directory.path)
        }.map(\.key)
    }

    @Test("The repository's file is in order, and its issuer's tokens are believed")
    func repository() throws {
        let policy = try IssuerPolicy.load(
            TemporaryDirectory.repository + "/issuers.yaml", installation: directory.path)
        let header = #"{"alg":"ES256","kid":"demo-1"}"#
        let claims =
            #"{"iss":"https://demo.drawbridge.example","aud":"drawbridge","sub":"s","exp":100,"hotel_ids":"*"}"#
        let input = Base64.url.encode(Array(header.utf8)) + "." + Base64.url.encode(Array(claims.utf8))
        let token = "Bearer \(input).\(Base64.url.encode(key.signature(for: input)))"
        let identity = try TokenVerifier(issuers: policy.issuers).verify(authorization: token, now: 50)
        #expect(identity.subject == "s")
        #expect(policy.revocations == IssuerPolicy.Revocations())
    }

    @Test("What is known of revoked tokens is believed for a time with bounds")
    func revocations() throws {
        for (text, keys) in [
            ("{maximum_staleness: 10 s}", []), ("{maximum_staleness: 24 h}", []),
            ("{maximum_staleness: 9 s}", ["revocations.maximum_staleness"]),
            ("{maximum_staleness: 25 h}", ["revocations.maximum_staleness"]),
            ("{maximum_age: 1 h}", ["revocations.maximum_age"]), ("15 min", ["revocations"]),
        ] {
            let entry = "{issuer: a, audience: b, keys: [{kid: a, algorithm: HS256, file: keys/secret}]}"
            let file = try directory.write("revocations: \(text)\nissuers: [\(entry)]", to: "issuers.yaml")
            let found = mistakes { () throws(PolicyError) in
                _ = try IssuerPolicy.load(file, installation: directory.path)
            }
            #expect(found.map(\.key) == keys, "\(text)")
        }
    }

    @Test("A secret of 32 bytes will do")
    func secret() throws { #expect(try found("[{kid: a, algorithm: HS256, file: keys/secret}]") == []) }

    @Test(
        "Keys that are missing, weak or of another kind are mistakes of the line that names them",
        arguments: [
            "[{kid: a, algorithm: HS256, file: keys/short}]", "[{kid: a, algorithm: HS256, file: keys/private.pem}]",
            "[{kid: a, algorithm: RS256, file: keys/demo-issuer.public.pem}]",
            "[{kid: a, algorithm: ES256, file: keys/none}]",
            "[{kid: a, algorithm: ES256, file: keys/private.pem}]", "[{kid: a, algorithm: ES256, file: keys}]",
            "[{kid: a, algorithm: ES256, file: /dev/zero}]",
        ])
    func badKey(keys: String) throws { #expect(try found(keys) == ["issuers[0].keys[0].file"]) }

    @Test("No algorithm but the three is known", arguments: ["none", "HS512", "es256"])
    func algorithms(name: String) throws {
        #expect(
            try found("[{kid: a, algorithm: \(name), file: keys/secret}]") == ["issuers[0].keys[0].algorithm"])
    }

    @Test("A key id is plain")
    func keyID() throws {
        #expect(try found("[{kid: ../a, algorithm: HS256, file: keys/secret}]") == ["issuers[0].keys[0].kid"])
    }

    @Test("A key id stands once within its issuer")
    func duplicateKey() throws {
        let key = "{kid: a, algorithm: HS256, file: keys/secret}"
        #expect(try found("[\(key), \(key)]") == ["issuers[0].keys[1]"])
    }

    @Test("An issuer without keys is a mistake", arguments: ["[]", "", "x"])
    func noKeys(keys: String) throws { #expect(try found(keys) == ["issuers[0].keys"]) }

    private func found(keySet: String) throws -> [String] {
        try directory.write(
            #"{"keys":[{"kty":"oct","kid":"a","k":"AAAA"}]}"#, to: "keys/unusable.json")
        let file = try directory.write(
            """
            issuers:
              - issuer: a
                audience: b
                token_type: at+jwt
                key_set: \(keySet)
            """, to: "issuers.yaml")
        return mistakes { () throws(PolicyError) in
            let policy = try IssuerPolicy.load(file, installation: directory.path)
            #expect(policy.keySets["a"]?.refresh == .seconds(900))
            #expect(policy.issuers[0].keySetAlgorithms == [.es256])
        }.map(\.key)
    }

    @Test("An issuer may publish its keys instead of having them here")
    func keySet() throws {
        for url in ["https://a.example/keys", "http://127.0.0.1:8080/keys", "http://[::1]/keys"] {
            #expect(try found(keySet: "{url: '\(url)', algorithms: [ES256]}") == [])
        }
    }

    @Test(
        "A key set from nowhere, from anybody, or of secrets is a mistake",
        arguments: [
            ("{algorithms: [ES256]}", "url"), ("{url: 'https://a', file: x, algorithms: [ES256]}", "url"),
            ("{url: 'http://a.example/', algorithms: [ES256]}", "url"),
            ("{url: 'http://127.0.0.1.example/', algorithms: [ES256]}", "url"),
            ("{url: 'https://user@a.example/', algorithms: [ES256]}", "url"),
            ("{url: 'https://a.example/two words', algorithms: [ES256]}", "url"),
            ("{url: 'https://a.example:99999/', algorithms: [ES256]}", "url"),
            ("{url: 'https:///keys', algorithms: [ES256]}", "url"),
            ("{url: 'https://a', algorithms: [HS256]}", "algorithms[0]"), ("{url: 'https://a'}", "algorithms"),
            ("{file: keys/none.json, algorithms: [ES256]}", "file"),
            ("{file: keys/unusable.json, algorithms: [ES256]}", "file"),
            ("{url: 'https://a', algorithms: [ES256], refresh: 1 s}", "refresh"),
            ("{url: 'https://a', algorithms: [ES256], overlap: 25 h}", "overlap"),
        ])
    func badKeySet(keySet: String, key: String) throws {
        #expect(try found(keySet: keySet).contains { $0.hasPrefix("issuers[0].key_set.\(key)") })
    }

    @Test("Our own tokens have terms with bounds, and defaults where nothing is said")
    func own() throws {
        let entry = "{issuer: a, audience: b, keys: [{kid: a, algorithm: HS256, file: keys/secret}]}"
        func load(_ own: String) throws -> IssuerPolicy {
            let file = try directory.write("own: \(own)\nissuers: [\(entry)]", to: "issuers.yaml")
            return try IssuerPolicy.load(file, installation: directory.path)
        }
        let defaults = try load("{}").own
        #expect(defaults.issuer == "urn:drawbridge:tokens" && defaults.accessToken == .seconds(900))
        #expect(defaults.masterKeyFile == directory.path + "/keys/master.key")
        #expect(defaults.keyTerms == .init(rotation: 30 * 86_400, lead: 86_400, overlap: 3900))
        #expect(try load("{}").believed.map(\.issuer) == ["a", "urn:drawbridge:tokens"])
        let repository = try IssuerPolicy.load(
            TemporaryDirectory.repository + "/issuers.yaml", installation: directory.path)
        #expect(repository.own == defaults)
        #expect(try load("{master_key: /etc/drawbridge/master.key}").own.masterKeyFile == "/etc/drawbridge/master.key")
        for (own, key) in [
            ("{access_token: 59 s}", "own.access_token"), ("{access_token: 61 min}", "own.access_token"),
            ("{refresh_token_idle: 59 min}", "own.refresh_token_idle"),
            ("{refresh_token_life: 367 days}", "own.refresh_token_life"),
            ("{families_per_key: 0}", "own.families_per_key"),
            ("{key_lead: 9 min}", "own.key_lead"), ("{key_rotation: 2 h, key_lead: 2 h}", "own.key_lead"),
            ("{key_rotation: 30 min}", "own.key_rotation"), ("{clock_skew: 61 s}", "own.clock_skew"),
            ("{clock_skew: 2500 ms}", "own.clock_skew"), ("{access_tokens: 15 min}", "own.access_tokens"),
            ("{ended_keys_kept: 1 h}", "own.ended_keys_kept"), ("{issuer: a}", "issuers[0]"),
        ] {
            let found = mistakes { () throws(PolicyError) in
                _ = try IssuerPolicy.load(
                    (try? directory.write("own: \(own)\nissuers: [\(entry)]", to: "issuers.yaml")) ?? "",
                    installation: directory.path)
            }.map(\.key)
            // A rotation that is out of bounds is the default one then, with which no lead is at odds.
            #expect(found == [key], "\(own)")
        }
    }

    @Test("Nobody may call himself by our own names")
    func ownNamespace() throws {
        let file = try directory.write(
            "issuers: [{issuer: 'urn:drawbridge:client', audience: b, keys: [{kid: a, algorithm: HS256, file: keys/secret}]}]",
            to: "issuers.yaml")
        let found = mistakes { () throws(PolicyError) in
            _ = try IssuerPolicy.load(file, installation: directory.path)
        }
        #expect(found.count == 1)
    }

    @Test("Clocks may differ by a minute at most, in whole seconds", arguments: ["61 s", "5 min", "-1 s", "2500 ms"])
    func skew(text: String) throws {
        #expect(
            try found("[{kid: a, algorithm: HS256, file: keys/secret}]", skew: text) == ["issuers[0].clock_skew"])
    }
}

@Suite("All policies of an installation")
struct PolicyDirectoryTests {
    @Test("The mistakes of all files come together")
    func together() throws {
        let directory = try TemporaryDirectory()
        for name in PolicyDirectory.fileNames { try directory.write("x: 1", to: name) }
        let files = mistakes { () throws(PolicyError) in
            try PolicyDirectory(path: directory.path, installation: directory.path).check()
        }.map(\.file)
        #expect(Set(files).count == PolicyDirectory.fileNames.count)
    }

    @Test("A pipe in the place of a file is refused at once")
    func pipe() throws {
        let directory = try TemporaryDirectory()
        let path = directory.path + "/bridge.yaml"
        #expect(mkfifo(path, 0o600) == 0)
        let found = mistakes { () throws(PolicyError) in _ = try BridgePolicy.load(path) }
        #expect(found.map(\.expected) == ["a readable file"])
    }
}
