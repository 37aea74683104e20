import Glibc
import Loop
import Testing

@Suite("What a reload checks first, and what it says", .serialized)
struct PolicyReloadTests {
    init() { Loop.runInBackground() }

    private static let hotels = "/api/booking-engine/hotels"

    private func replace(_ old: String, _ new: String, in file: String) throws {
        let text = Files.text(file)
        try #require(text.contains(old))
        Files.write(text.replacing(old, with: new), to: file)
    }

    @OnLoop private func workers(_ node: Node) throws -> [Int32] {
        try ["gateway-0", "gateway-1", "bridge", "ledger"].map { try node.processID($0) }
    }

    @Test("Certificates that cannot be used and rules that cannot be loaded are all told, and no worker is replaced")
    @OnLoop func refused() async throws {
        let node = try Node(ownsPolicies: true)
        try await node.start()
        let before = try workers(node)
        let (gateway, rules) = ("\(node.policies)/gateway.yaml", "\(node.policies)/firewall/rules.conf")
        let original = (Files.text(gateway), Files.text(rules))
        let (certificate, key) = ("\(node.home)/tls/certificate.pem", "\(node.home)/tls/key.pem")
        func refuses(_ mistakes: String..., sourceLocation: SourceLocation = #_sourceLocation) async throws {
            for command in ["check", "reload"] {
                let result = try await node.policy(command)
                #expect(result.exit.status == 1, sourceLocation: sourceLocation)
                for mistake in mistakes {
                    #expect(result.output.contains(mistake), "\(result.output)", sourceLocation: sourceLocation)
                }
            }
            #expect(try workers(node) == before, sourceLocation: sourceLocation)
            #expect(try await node.get(Self.hotels).status == 200, sourceLocation: sourceLocation)
        }

        Files.write("no certificate", to: "\(node.home)/tls/broken.pem")
        try replace("certificate: tls/certificate.pem", "certificate: tls/broken.pem", in: gateway)
        try replace("key: tls/key.pem", "key: tls/gone.pem", in: gateway)
        let lines = Files.text(gateway).split(separator: "\n", omittingEmptySubsequences: false)
        let line = try #require(lines.firstIndex { $0.contains("tls/broken.pem") }) + 1
        try await refuses(
            "\(gateway):\(line):", "listeners[0].tls.certificate: found tls/broken.pem (no start line)",
            "listeners[0].tls.key: found tls/gone.pem (No such file or directory)")

        Files.write(original.0, to: gateway)
        let expired = try await Files.run([
            "openssl", "x509", "-in", certificate, "-signkey", key, "-days", "-1", "-out", "\(certificate).expired",
        ])
        try #require(expired.exit.isSuccess, "\(expired.output)")
        try replace("certificate: tls/certificate.pem", "certificate: tls/certificate.pem.expired", in: gateway)
        try await refuses("tls/certificate.pem.expired, which was good until ")
        Files.write(original.0, to: gateway)

        Files.write(original.1 + "SecNonsense On\nSecRule NO_SUCH \"@rx x\" \"id:11001,phase:2,deny\"\n", to: rules)
        let last = Files.text(rules).split(separator: "\n", omittingEmptySubsequences: false).count - 1
        try await refuses("\(rules):\(last - 1): SecNonsense", "\(rules):\(last): SecRule 11001: found NO_SUCH")
        Files.write(original.1, to: rules)

        let result = try await node.policy("reload")
        #expect(result.exit.isSuccess && result.output == "the policies are in force\n", "\(result.output)")
        #expect(try await node.stop().isSuccess)
    }

    @Test("What is in force only after a restart is told, as long as it is so")
    @OnLoop func restartDemands() async throws {
        let node = try Node(ownsPolicies: true)
        try await node.start()
        let (gateway, bridge) = ("\(node.policies)/gateway.yaml", "\(node.policies)/bridge.yaml")
        func reload() async throws -> String {
            let result = try await node.policy("reload")
            #expect(result.exit.isSuccess, "\(result.output)")
            return result.output
        }
        #expect(try await reload() == "the policies are in force\n")
        let text = Files.text(gateway)
        try replace("segment_age: 24 h", "segment_age: 12 h", in: gateway)
        try replace("deadline: 2 s", "deadline: 1500 ms", in: gateway)
        try replace("pool_size: 8", "pool_size: 7", in: bridge)
        for _ in 0..<2 {
            let said = try await reload()
            #expect(said.contains("bridge.yaml: database.pool_size: in force only after a restart"), "\(said)")
            #expect(said.contains("gateway.yaml: ledger.segment_age: in force only after a restart"), "\(said)")
        }
        #expect(node.log.contains("policies are not in force everywhere"))

        // A process that is started again has read them.
        let process = try node.processID("bridge")
        kill(process, SIGKILL)
        try await wait("the bridge to be back") { try node.processID("bridge") != process }
        let said = try await reload()
        #expect(!said.contains("bridge.yaml") && said.contains("gateway.yaml"), "\(said)")

        Files.write(text.replacing("name: public", with: "name: clients"), to: gateway)
        let refused = try await node.policy("reload")
        #expect(refused.exit.status == 1)
        #expect(refused.output.contains("\(gateway): listeners: other names or addresses need a restart"))
        #expect(try await node.stop().isSuccess)
    }

    @Test("The bridge knows the operations of a changed description, too")
    @OnLoop func operations() async throws {
        let node = try Node(ownsPolicies: true)
        try await node.start()
        let path = "/api/booking-engine/room-types/"
        #expect(try await node.get("\(path)1").status == 200)
        try replace(path, "/api/booking-engine/kinds-of-room/", in: "\(node.policies)/openapi.yaml")
        let reload = try await node.policy("reload")
        #expect(reload.exit.isSuccess, "\(reload.output)")
        for _ in 0..<6 {
            #expect(try await node.get("/api/booking-engine/kinds-of-room/1").status == 200)
            #expect(try await node.get("\(path)1").status == 404)
        }
        #expect(try await node.stop().isSuccess)
    }

    @Test("The supervisor goes by the new policies, too: workers may open the files that these ask for")
    @OnLoop func openFiles() async throws {
        let node = try Node(ownsPolicies: true)
        try await node.start()
        try replace("maximum_connections: 10000 ", "maximum_connections: 40000 ", in: "\(node.policies)/gateway.yaml")
        let reload = try await node.policy("reload")
        #expect(reload.exit.isSuccess, "\(reload.output)")
        let limits = try node.processes.filter { Files.text("/proc/\($0)/cmdline").contains("drawbridge-gateway") }
            .map { Files.text("/proc/\($0)/limits").split(separator: "\n") }
            .map { try #require($0.first { $0.hasPrefix("Max open files") }?.split(separator: " ")) }
            .map { try #require(Int($0[3])) }
        #expect(limits.count == 2)
        // Or it says that the system allows fewer.
        #expect(limits.allSatisfy { $0 >= 40_512 } || node.log.contains("\"gateway_needs\":40512"), "\(limits)")
        #expect(try await node.stop().isSuccess)
    }

    @Test("A certificate that ends while it is shown keeps no other change from coming into force, and is told")
    @OnLoop func expired() async throws {
        let node = try Node(ownsPolicies: true)
        try await node.start()
        let (certificate, key) = ("\(node.home)/tls/certificate.pem", "\(node.home)/tls/key.pem")
        let expired = try await Files.run([
            "openssl", "x509", "-in", certificate, "-signkey", key, "-days", "-1", "-out", certificate,
        ])
        try #require(expired.exit.isSuccess, "\(expired.output)")
        let gateway = "\(node.policies)/gateway.yaml"
        try replace("drain_timeout: 30 s", "drain_timeout: 20 s", in: gateway)
        let check = try await node.policy("check")
        #expect(check.exit.status == 1 && check.output.contains("tls/certificate.pem, which was good until "))
        let before = try workers(node)
        let reload = try await node.policy("reload")
        #expect(reload.exit.isSuccess, "\(reload.output)")
        #expect(reload.output.contains("\(gateway):") && reload.output.contains("which was good until "))
        #expect(try workers(node).first != before.first)
        #expect(try await node.stop().isSuccess)
    }

    @Test("A reload does not end a bridge that is just starting")
    @OnLoop func early() async throws {
        let node = try Node(ownsPolicies: true)
        try await node.start()
        let old = try node.processID("bridge")
        kill(old, SIGKILL)
        var bridge: Int32?
        // As soon as its `main` has left the terminal's session: before, it is no bridge yet.
        try await wait("the bridge to begin") {
            bridge = node.processes.first { id in
                id != old && getsid(id) == id && Files.text("/proc/\(id)/cmdline").contains("drawbridge-bridge")
            }
            return bridge != nil
        }
        kill(try #require(bridge), SIGHUP)
        try await wait("the bridge to be back") { try node.processID("bridge") != old }
        #expect(try node.processID("bridge") == bridge)
        try await wait("it to have read its policies") {
            node.log.contains("bridge goes by the policies as they are now")
        }
        #expect(try await node.stop().isSuccess)
    }
}
