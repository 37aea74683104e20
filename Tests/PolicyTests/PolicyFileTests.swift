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
        "Two listeners on one address and port are a mistake, however it is written",
        arguments: [
            ("127.0.0.1:1", "127.0.0.1:1", true), ("127.0.0.1:1", "127.0.0.1:2", false),
            ("127.0.0.1:0", "127.0.0.1:0", false), ("127.0.0.1:1", "127.0.0.2:1", false),
            ("127.0.0.1:1", "[::1]:1", false), ("[::1]:1", "[0:0::1]:1", true),
        ])
    func sameAddress(first: String, second: String, isMistake: Bool) throws {
        let text = least.replacing("127.0.0.1:0", with: first).replacing("[::1]:0", with: second)
        #expect(try mistakes(text) == (isMistake ? ["3: listeners[1]"] : []))
    }

    @Test("A listener on every address has the port on each of its family")
    func everyAddress() throws {
        let tls = "tls: {certificate: tls/certificate.pem, key: tls/key.pem}"
        for (address, isMistake) in [("0.0.0.0:7", true), ("[::]:7", false)] {
            let text = least.replacing("[::1]:0", with: "127.0.0.1:7")
                .replacing("\"127.0.0.1:0\"", with: "\"\(address)\", \(tls)")
            #expect(try mistakes(text) == (isMistake ? ["3: listeners[1]"] : []))
        }
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
