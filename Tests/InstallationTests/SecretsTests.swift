import Authentication
import Cryptography
import Glibc
import Loop
import Policy
import Testing

@testable import Installation

@Suite("Secrets")
struct SecretsTests {
    private let directory: TemporaryDirectory
    private let home: Home

    init() throws {
        Loop.runInBackground()
        directory = try TemporaryDirectory()
        home = Home(path: directory.file("home"))
        try home.create()
    }

    @Test("Every secret is readable by its owner alone")
    func modes() throws {
        _ = try Secrets.prepare(home)
        for path in Secrets.files(home) where File.exists(path) { #expect(mode(path) == 0o600, "\(path)") }
        #expect(mode(home.file("keys")) == 0o700)
    }

    @Test("A second start keeps them, another installation has others")
    func keeps() throws {
        let first = try Secrets.prepare(home)
        let second = try Secrets.prepare(home)
        #expect(first.apiKeys == second.apiKeys && first.databasePassword == second.databasePassword)
        #expect(first.isDatabasePasswordNew && !second.isDatabasePasswordNew)
        #expect(first.issuerKey.pem == second.issuerKey.pem)

        let other = Home(path: directory.file("other"))
        try other.create()
        let others = try Secrets.prepare(other)
        #expect(Set(first.apiKeys.values).isDisjoint(with: others.apiKeys.values))
        #expect(try File.read(home.hopKeyFile) != File.read(other.hopKeyFile))
    }

    @Test("The master key is made once, never replaced, and not made where the environment has one")
    func masterKey() throws {
        _ = try Secrets.prepare(home)
        let text = try #require(try File.readText(home.masterKeyFile))
        #expect(throws: Never.self) { try MasterKey(text: text) }
        // Whatever has become of it: another one would open nothing.
        for other in ["", "noise\n"] {
            try File.write(other, to: home.masterKeyFile, mode: 0o600)
            _ = try Secrets.prepare(home)
            #expect(try File.readText(home.masterKeyFile) == other)
        }
        unlink(home.masterKeyFile)
        setenv(MasterKey.variable, MasterKey.makeText(), 1)
        defer { unsetenv(MasterKey.variable) }
        _ = try Secrets.prepare(home)
        #expect(!File.exists(home.masterKeyFile))
        #expect(!Secrets.files(home).contains(home.masterKeyFile))
    }

    @Test("API keys have their form, and each is its own")
    func apiKeys() throws {
        let keys = try Secrets.prepare(home).apiKeys.values
        #expect(Set(keys).count == 3)
        for key in keys { #expect(APIKey(key) != nil) }
    }

    @Test("The gateway believes the demo token by the demo policy")
    func token() throws {
        let secrets = try Secrets.prepare(home)
        let policies = File.directory(of: File.directory(of: File.directory(of: #filePath))) + "/Policies"
        let issuers = try IssuerPolicy.load("\(policies)/issuers.yaml", installation: home.path).issuers
        let verifier = TokenVerifier(issuers: issuers)
        let token = DemoToken.make(secrets.issuerKey, unixTime: 1_800_000_000)
        let identity = try verifier.verify(token.utf8.span, now: 1_800_000_000 + 29 * 86_400)
        #expect(identity.client == "booking-engine")
        #expect(throws: AuthenticationError.self) {
            try verifier.verify(token.utf8.span, now: 1_800_000_000 + 31 * 86_400)
        }
    }

    @Test("The certificate is for this machine, verifies against itself, and is kept")
    @OnLoop func certificate() async throws {
        let tools = Tools()
        try await Certificate.prepare(home, tools: tools)
        let first = try File.read(home.certificateFile)
        for name in [["-verify_hostname", "localhost"], ["-verify_ip", "127.0.0.1"], ["-verify_ip", "::1"]] {
            try await tools.require(
                ["openssl", "verify", "-CAfile", home.certificateFile] + name + [home.certificateFile])
        }
        #expect(mode(home.certificateKeyFile) == 0o600)
        try await Certificate.prepare(home, tools: tools)
        #expect(try File.read(home.certificateFile) == first)
    }
}
