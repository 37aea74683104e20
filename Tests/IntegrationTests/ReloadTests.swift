import Glibc
import Loop
import Testing

@Suite("Policies that are changed while requests come", .serialized)
struct ReloadTests {
    init() { Loop.runInBackground() }

    private static let roomTypes = "/api/booking-engine/room-types/1"

    @OnLoop private func node() async throws -> Node {
        let node = try Node(ownsPolicies: true)
        try await node.start()
        return node
    }

    /// No more forwards requests for room types, or does again.
    @OnLoop private func offerRoomTypes(_ isOffered: Bool, _ node: Node) throws {
        let description = "\(node.policies)/openapi.yaml"
        let text = Files.text(description)
        let (old, new) = ("forward: true", "forward: false")
        if text.contains(old) || text.contains(new) {
            Files.write(text.replacing(isOffered ? new : old, with: isOffered ? old : new), to: description)
            return
        }
        let operation = try #require(text.firstRange(of: "operationId: listRoomTypes\n"))
        let terms = try #require(text[operation.upperBound...].firstRange(of: "x-drawbridge:\n"))
        let line = "        \(isOffered ? old : new)\n"
        Files.write(text[..<terms.upperBound] + line + text[terms.upperBound...], to: description)
    }

    @OnLoop private func count(_ result: String, _ node: Node) async throws -> String? {
        let series = "drawbridge_policy_reloads_total{process=\"drawbridge\",result=\"\(result)\"} "
        let metrics = try await node.admin.send(.get("/metrics")).text
        return metrics.split(separator: "\n").first { $0.hasPrefix(series) }.map { String($0.dropFirst(series.count)) }
    }

    @Test("come into force in every worker, and no request is lost", .timeLimit(.minutes(3)))
    @OnLoop func underLoad() async throws {
        let node = try await node()
        let load = try Load(node, bookers: 3, readers: 5)
        for isOffered in [false, true] {
            try await load.wait(answers: 50)
            let workers = try ["gateway-0", "gateway-1"].map { try node.processID($0) }
            try offerRoomTypes(isOffered, node)
            let reload = try await node.policy("reload")
            #expect(reload.exit.isSuccess, "\(reload.output)")
            #expect(reload.output == "the policies are in force\n")
            for (slot, before) in zip(["gateway-0", "gateway-1"], workers) {
                #expect(try node.processID(slot) != before)
            }
            for _ in 0..<6 { #expect(try await node.get(Self.roomTypes).status == (isOffered ? 200 : 501)) }
        }
        try await load.wait(answers: 50)
        try await load.stop()
        #expect(load.brokenConnections == 0)
        #expect(load.refusedConnections == 0)
        #expect(load.oddities.isEmpty)
        #expect(Set(load.statuses.keys).isSubset(of: [200, 201, 409]), "\(load.statuses)")
        #expect(try await count("applied", node) == "2")
        #expect(try await node.stop().isSuccess)
    }

    @Test("with a mistake are refused, in the log, in a metric and by the command, and the old ones stay in force")
    @OnLoop func mistake() async throws {
        let node = try await node()
        let worker = try node.processID("gateway-0")
        Files.write("classes: []\nsurprise: 1\n", to: "\(node.policies)/rate-limits.yaml")
        let reload = try await node.policy("reload")
        #expect(reload.exit.status == 1)
        let place = "\(node.policies)/rate-limits.yaml:2:1: surprise: found an unknown key"
        #expect(reload.output.contains(place))
        #expect(node.log.contains("policies are refused; the old ones stay in force"))
        #expect(node.log.contains(place))
        #expect(try await count("refused", node) == "1")
        #expect(try node.processID("gateway-0") == worker)
        #expect(try await node.get(Self.roomTypes).status == 200)
        // Whoever is restarted now still runs by the old ones.
        kill(worker, SIGKILL)
        try await wait("gateway-0 again") { try node.processID("gateway-0") != worker }
        #expect(try await node.get(Self.roomTypes).status == 200)
        let check = try await node.policy("check")
        #expect(check.exit.status == 1)
        #expect(check.output.contains(place))
        #expect(try await node.stop().isSuccess)
    }

    @Test("with an operation that the bridge does not know are refused, as it could not start by them")
    @OnLoop func unknownOperation() async throws {
        let node = try await node()
        let description = "\(node.policies)/openapi.yaml"
        let text = Files.text(description)
        Files.write(text.replacing("operationId: listRoomTypes\n", with: "operationId: listRooms\n"), to: description)
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        let line = try #require(lines.firstIndex { $0.hasSuffix("operationId: listRoomTypes") }) + 1
        let reload = try await node.policy("reload")
        #expect(reload.exit.status == 1)
        #expect(reload.output.contains("\(description):\(line):"), "\(reload.output)")
        #expect(reload.output.contains("found listRooms, expected an operation that the bridge implements"))
        #expect(try await count("refused", node) == "1")
        #expect(try await node.get(Self.roomTypes).status == 200)
        #expect(try await node.stop().isSuccess)
    }

    @Test("that a worker cannot start with are taken back")
    @OnLoop func failure() async throws {
        let node = try await node()
        let before = Files.text("\(node.home)/policies-in-force/openapi.yaml")
        try offerRoomTypes(false, node)
        // Every policy is in order, and yet no worker starts without it.
        let key = "\(node.home)/keys/hop.key"
        try #require(rename(key, "\(key).away") == 0)
        let reload = try await node.policy("reload")
        #expect(reload.exit.status == 1)
        #expect(reload.output.contains("a worker does not start with the policies"))
        #expect(reload.output.contains("gateway-0 is not replaced"), "\(reload.output)")
        #expect(try await count("failed", node) == "1")
        for _ in 0..<6 { #expect(try await node.get(Self.roomTypes).status == 200) }
        #expect(Files.text("\(node.home)/policies-in-force/openapi.yaml") == before)
        #expect(try await node.stop().isSuccess)
    }

    @Test("are noticed on SIGHUP; where nothing has changed, only certificates are read again")
    @OnLoop func hangUp() async throws {
        let node = try await node()
        let worker = try node.processID("gateway-0")
        node.signal(SIGHUP)
        try await wait("certificates") {
            node.log.split(separator: "\n").count { $0.contains("\"certificate reloaded\"") } == 2
        }
        try offerRoomTypes(false, node)
        node.signal(SIGHUP)
        try await wait("the policies") { node.log.contains("\"policies are in force\"") }
        #expect(try node.processID("gateway-0") != worker)
        #expect(try await node.get(Self.roomTypes).status == 501)
        try await wait("it to be counted") { try await count("applied", node) == "1" }
        #expect(try await node.stop().isSuccess)
    }

    @Test("A certificate that cannot be used leaves the old one in force, and every worker counts it")
    @OnLoop func certificate() async throws {
        let node = try await node()
        let gateway = try node.gateway
        Files.write("no certificate", to: "\(node.home)/tls/certificate.pem")
        node.signal(SIGHUP)
        let name = "drawbridge_tls_certificate_reload_failures_total{"
        try await wait("both workers to have tried") {
            let metrics = try await node.admin.send(.get("/metrics")).text.split(separator: "\n")
            return metrics.count { $0.hasPrefix(name) && $0.contains("listener=\"public\"") && $0.hasSuffix(" 1") } == 2
        }
        #expect(node.log.contains("certificate not reloaded"))
        #expect(try await gateway.send(.get(Self.roomTypes, node.token())).status == 200)
        #expect(try await node.stop().isSuccess)
    }

    @Test("The repository's are in order for an installation, and nothing is reloaded where none runs")
    @OnLoop func commands() async throws {
        let node = try await node()
        let check = try await node.policy("check", node.policies)
        #expect(check.exit.isSuccess, "\(check.output)")
        #expect(check.output == "\(node.policies): the policies are in order\n")
        #expect(try await node.stop().isSuccess)
        let reload = try await node.policy("reload")
        #expect(reload.exit.status == 1)
        #expect(reload.output.contains("nothing runs in \(node.home)"))
        #expect(try await node.policy("surprise").exit.status == 64)
    }
}
