import JSONText
import Ledger
import Loop
import Testing

/// The ledger of an installation, verified and read.
@OnLoop
struct InstallationLedger {
    let report: LedgerReport
    /// Every byte of its files but the keys.
    let text: String
    /// The records by the request they are about, in order.
    let records: [String: [JSONValue]]

    init(_ node: Node) throws { try self.init(home: node.home) }

    init(home: String) throws {
        let directory = "\(home)/ledger/records"
        let verifiers = try Files.text("\(home)/ledger/verifiers").split(separator: "\n").map {
            try NoteVerifier(String($0))
        }
        report = try LedgerVerifier(
            directory: directory, origin: try #require(verifiers.first).name, keys: verifiers
        ).verify()
        let names = Files.names(in: directory).sorted()
        text = names.map { Files.text("\(directory)/\($0)") }.joined()
        var records: [String: [JSONValue]] = [:]
        for name in names where name.hasSuffix(".jsonl") {
            for line in Files.text("\(directory)/\(name)").split(separator: "\n") {
                guard let record = try JSONValue(parsing: Array(line.utf8))["record"] else { continue }
                let id = try #require(record["metadata"]?["uid"]?.string)
                records[id, default: []].append(record)
            }
        }
        self.records = records
    }

    /// The decision about a request, where there is one.
    func decision(_ id: String) -> JSONValue? {
        records[id]?.first { $0["metadata"]?["log_name"]?.string == "decision" }
    }

    /// Whether it says that a request of that route may pass.
    func allows(_ id: String, _ route: String) -> Bool {
        let facts = decision(id)?["unmapped"]
        return facts?["verdict"]?.string == "allowed" && facts?["route"]?.string == route
    }

    /// What `drawbridge audit verify` says of the ledger in a home.
    static func verify(home: String) async throws -> (isSuccess: Bool, output: String) {
        let result = try await Files.run([Node.program, "audit", "verify"], environment: ["DRAWBRIDGE_HOME": home])
        return (result.exit.isSuccess, result.output)
    }
}
