import BridgeSchema
import Testing

@testable import Installation

@Suite("The migrations that doctor knows")
struct MigrationExaminationTests {
    @Test("They are the bridge's, each with its number and name")
    func same() throws {
        let directory =
            File.directory(of: File.directory(of: File.directory(of: #filePath))) + "/Bridge/Migrations"
        let names = BridgeSchema.migrations.map { file in
            String(repeating: "0", count: 4 - "\(file.number)".count) + "\(file.number)_\(file.name).sql"
        }
        #expect(names == File.names(in: directory).filter { $0.hasSuffix(".sql") })
        for (name, file) in zip(names, BridgeSchema.migrations) {
            #expect(try File.read("\(directory)/\(name)") == file.sql)
        }
    }
}
