import Loop
import Testing

@Suite("Memory over many reloads")
struct ReloadMemoryTests {
    init() { Loop.runInBackground() }

    private static let slots = ["bridge", "ledger", "gateway-0"]

    /// What one process holds.
    private struct Holdings {
        let kibibytes: Int
        let descriptors: Int

        init(_ process: Int32) throws {
            let line = Files.text("/proc/\(process)/status").split(separator: "\n").first { $0.hasPrefix("VmRSS:") }
            kibibytes = try #require(line?.split(separator: " ").compactMap { Int($0) }.first)
            descriptors = Files.names(in: "/proc/\(process)/fd").count
        }
    }

    @OnLoop private func holdings(_ node: Node) throws -> [String: Holdings] {
        let supervisor = try #require(
            Int32(Files.text("\(node.home)/lock").split(whereSeparator: \.isWhitespace).first ?? ""))
        var holdings = ["drawbridge": try Holdings(supervisor)]
        for slot in Self.slots { holdings[slot] = try Holdings(try node.processID(slot)) }
        return holdings
    }

    @OnLoop private func reload(_ node: Node, _ count: Int) async throws {
        for _ in 0..<count {
            let result = try await node.policy("reload")
            try #require(result.exit.isSuccess, "\(result.output)")
            // The new worker does what workers do.
            for _ in 0..<4 { #expect(try await node.get("/api/booking-engine/hotels").status == 200) }
        }
    }

    /// The firewall's library gives nothing back of the rules it has loaded (some 20 MiB): were they loaded twice in
    /// one process, fifty times would be a gigabyte.
    @Test("Fifty reloads leave it where it was, and open files and processes as well", .timeLimit(.minutes(10)))
    @OnLoop func fifty() async throws {
        let node = try Node(ownsPolicies: true, workers: 1)
        try await node.start()
        try await reload(node, 5)
        let (before, processes) = (try holdings(node), node.processes.count)
        try await reload(node, 50)
        // The bridge lets what workers that are gone had asked for wait out its time.
        try await wait("what gone workers had opened to be closed") {
            try self.holdings(node).allSatisfy { $1.descriptors <= before[$0]!.descriptors + 4 }
        }
        let after = try holdings(node)
        for (name, before) in before {
            let now = try #require(after[name])
            #expect(now.kibibytes <= before.kibibytes * 11 / 10 + 2048, "\(name)")
        }
        // The database's helpers come and go.
        #expect(node.processes.count <= processes + 3)
        #expect(try await node.stop().isSuccess)
    }
}
