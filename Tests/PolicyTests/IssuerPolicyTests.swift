import Authentication
import Cryptography
import Glibc
import Testing

@testable import Policy

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
            ("{maximum_staleness: 30 s}", []), ("{maximum_staleness: 24 h}", []),
            ("{maximum_staleness: 29 s}", ["revocations.maximum_staleness"]),
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
