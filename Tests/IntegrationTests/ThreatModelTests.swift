import Testing

@Suite("The threat model")
struct ThreatModelTests {
    @Test("The tests that it names exist, by suite and title")
    func names() throws {
        let model = Files.text("\(Node.package)/Documentation/ThreatModel.md")
        let tests = Self.sources("\(Node.package)/Tests").map(Files.text).joined(separator: "\n")
        let suites = Set(tests.matches(of: /(?:struct|class|extension) ([A-Za-z0-9]+Tests)\b/).map(\.1))
        let titles = Set(tests.matches(of: /@(?:Test|Suite)\(\s*"([^"\n]+)"/).map(\.1))
        let named = model.matches(of: /`(?:[A-Za-z]+\/)?([A-Za-z0-9]+Tests)`/).map(\.1)
        #expect(named.count > 30)
        #expect(named.filter { !suites.contains($0) } == [])
        // In a row that names a suite, what stands between quotation marks is a title.
        let quoted = model.split(separator: "\n").filter { $0.hasPrefix("|") && $0.contains("Tests`") }
            .flatMap { $0.matches(of: /"([^"]{2,})"/).map(\.1) }
        #expect(quoted.count > 15)
        #expect(quoted.filter { !titles.contains($0) } == [])
    }

    private static func sources(_ directory: String) -> [String] {
        Files.names(in: directory).flatMap { name in
            name.hasSuffix(".swift") ? ["\(directory)/\(name)"] : sources("\(directory)/\(name)")
        }
    }
}
