import Loop
import Testing

@testable import Installation

@Suite("demo.env")
struct EnvironmentFileTests {
    init() { Loop.runInBackground() }

    private static let values = [
        "plain", "https://localhost:8443", "postgresql://a:b@/c?host=%2Frun", "", "two words", "it's", "''", "$HOME",
        "`id`", "a\\b", "*", "~", "a;b&c|d", "\"quoted\"", "日本",
    ]

    @Test("A shell reads every value as it was meant", arguments: values)
    @OnLoop func shellReads(value: String) async throws {
        let directory = try TemporaryDirectory()
        var file = EnvironmentFile()
        file.set("VALUE", value)
        try file.write(to: directory.file("demo.env"))
        let output = try await Tools().require(
            ["sh", "-c", #". "$1"; printf %s "$VALUE""#, "sh", directory.file("demo.env")])
        #expect(output == value)
        #expect(try EnvironmentFile.value("VALUE", in: directory.file("demo.env")) == value)
    }

    @Test("Only its owner can read it, also when it replaces a file others could read")
    func mode() throws {
        let directory = try TemporaryDirectory()
        let path = directory.file("demo.env")
        try File.write("old", to: path, mode: 0o644)
        try EnvironmentFile().write(to: path)
        #expect(InstallationTests.mode(path) == 0o600)
        #expect(File.names(in: directory.path) == ["demo.env"])
    }

    @Test("A variable without a value is left out")
    func leavesOut() {
        var file = EnvironmentFile()
        file.set("HOTEL_ID", nil)
        file.set("GATEWAY_URL", "https://localhost:8443")
        #expect(file.text == "GATEWAY_URL=https://localhost:8443\n")
    }
}
