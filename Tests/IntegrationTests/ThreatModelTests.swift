import Testing

@Suite("The threat model")
struct ThreatModelTests {
    @Test("The tests that it names exist, by suite and title")
    func names() throws {
        let model = Files.text("\(Node.package)/Documentation/ThreatModel.md")
        let titles = Self.titles(Self.sources("\(Node.package)/Tests"))
        let named = model.matches(of: /`(?:[A-Za-z]+\/)?([A-Za-z0-9]+Tests)`/).map { String($0.1) }
        #expect(named.count > 30)
        #expect(named.filter { titles[$0] == nil } == [])
        // In a row that names suites, what stands between quotation marks is a title in the one named last before it.
        var quoted = 0
        for row in model.split(separator: "\n") where row.hasPrefix("|") && row.contains("Tests`") {
            var suite: String?
            for part in row.matches(of: /`(?:[A-Za-z]+\/)?([A-Za-z0-9]+Tests)`|"([^"]{2,})"/) {
                if let name = part.1 { suite = String(name) }
                guard let title = part.2 else { continue }
                quoted += 1
                #expect(suite.flatMap { titles[$0] }?.contains(String(title)) == true, "\(suite ?? "?"): \(title)")
            }
        }
        #expect(quoted > 15)
    }

    /// The titles of tests, by the suites that they stand in; a suite's own is one of them.
    private static func titles(_ files: [String]) -> [String: Set<String>] {
        var titles: [String: Set<String>] = [:]
        for file in files {
            var (suite, ownTitle): (String?, String?) = (nil, nil)
            let parts =
                #/
                (?:struct|class|extension)\ ([A-Za-z0-9]+Tests)\b | @Test\(\s*"([^"\n]+)" | @Suite\(\s*"([^"\n]+)"
                /#
            for part in Files.text(file).matches(of: parts) {
                if let name = part.1 {
                    suite = String(name)
                    titles[String(name), default: []].formUnion(ownTitle.map { [$0] } ?? [])
                    ownTitle = nil
                } else if let title = part.2, let suite {
                    titles[suite]?.insert(String(title))
                } else if let title = part.3 {
                    ownTitle = String(title)
                }
            }
        }
        return titles
    }

    private static func sources(_ directory: String) -> [String] {
        Files.names(in: directory).flatMap { name in
            name.hasSuffix(".swift") ? ["\(directory)/\(name)"] : sources("\(directory)/\(name)")
        }
    }
}
