internal import JSONText

/// A record in one line for people.
enum TrailLine {
    static func text(_ record: TrailRecord) -> String {
        var parts = [record.time.map(Timestamp.text) ?? "-", String(record.sequence)]
        switch record.kind {
        case .decision, .outcome: parts += request(record)
        case .ledger(let event):
            parts += ["ledger", visible(event)]
            for member in record.json.members ?? [] where !["event", "time", "format", "peaks"].contains(member.name) {
                let value = member.value.string ?? member.value.integer.map(String.init)
                if let value { parts.append(pair(member.name, value)) }
            }
        case .unknown: parts.append("unreadable")
        }
        return parts.joined(separator: " ")
    }

    /// What is said of both a decision and an outcome: what happened, to which request, whose it was, why.
    private static func request(_ record: TrailRecord) -> [String] {
        var parts = [verb(record)]
        if let status = record.status { parts.append(String(status)) }
        parts += [record.method, record.path.flatMap { $0.isEmpty ? nil : $0 }].compactMap { $0.map(visible) }
        let pairs: [(String, String?)] = [
            ("route", record.route), ("hotel", record.hotel.map { String($0) }), ("principal", record.principal),
            ("client", record.client == record.principal ? nil : record.client), ("address", record.address),
            ("stage", record.stage), ("reason", record.reason),
            ("rules", record.rules.isEmpty ? nil : record.rules.map { String($0.id) }.joined(separator: ",")),
            ("score", record.score.map { String($0) }), ("failure", record.failure),
            ("time", record.microseconds.map(duration)), ("id", record.requestID),
        ]
        return parts + pairs.compactMap { name, value in value.map { pair(name, $0) } }
    }

    static func verb(_ record: TrailRecord) -> String {
        guard record.kind == .outcome else { return visible(record.verdict ?? "decided") }
        return record.isComplete == false ? "cut" : "answered"
    }

    static func duration(_ microseconds: Int64) -> String {
        microseconds < 1000
            ? "\(microseconds)us" : "\(microseconds / 1000).\(microseconds / 100 % 10)ms"
    }

    private static func pair(_ name: String, _ value: String) -> String {
        let isWord = !value.isEmpty && !value.contains { $0 == " " || $0 == "\"" || $0 == "=" }
        let value = visible(value)
        return isWord ? "\(name)=\(value)" : "\(name)=\"\(value.replacing("\"", with: "\\\""))\""
    }

    /// The text with everything that a terminal might obey instead of show written as `\u{…}`: a client chooses paths,
    /// and an auditor's screen must not follow it.
    static func visible(_ text: String) -> String {
        guard !text.unicodeScalars.allSatisfy({ (0x20..<0x7F).contains($0.value) }) else { return text }
        var visible = ""
        for scalar in text.unicodeScalars {
            switch scalar.properties.generalCategory {
            case .control, .format, .lineSeparator, .paragraphSeparator, .privateUse, .unassigned:
                visible += "\\u{\(String(scalar.value, radix: 16))}"
            default: visible.unicodeScalars.append(scalar)
            }
        }
        return visible
    }
}
