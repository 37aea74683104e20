/// Records as lines of the Common Event Format (ArcSight CEF, version 0), which most security event managers read.
struct CommonEventFormat {
    /// The version of the product that stands in every line.
    let release: String

    /// The line for a decision or an outcome; `nil` for any other record, which describes no request.
    func line(_ record: TrailRecord) -> String? {
        let (eventClass, name): (String, String)
        switch record.kind {
        case .decision where record.verdict == "refused":
            (eventClass, name) = ("request-refused", "Request refused")
        case .decision: (eventClass, name) = ("request-\(record.verdict ?? "decided")", "Request allowed")
        case .outcome: (eventClass, name) = ("request-answered", "Request answered")
        case .ledger, .unknown: return nil
        }
        let header = ["CEF:0", "Drawbridge", "Drawbridge", release, eventClass, name, String(severity(record))]
        let extensions = Self.extensions(record).map { key, value in "\(key)=\(Self.value(value))" }
        return header.map(Self.header).joined(separator: "|") + "|" + extensions.joined(separator: " ")
    }

    /// In a header, a backslash and the bar that ends a field are escaped; it has no way to write a line break.
    static func header(_ text: String) -> String { escaped(text, special: "|", lineFeed: " ", carriageReturn: " ") }

    /// In a value, a backslash and the equals sign behind a key are escaped, and line breaks are written as letters.
    static func value(_ text: String) -> String {
        escaped(text, special: "=", lineFeed: "\\n", carriageReturn: "\\r")
    }

    private static func escaped(
        _ text: String, special: Unicode.Scalar, lineFeed: String, carriageReturn: String
    ) -> String {
        var escaped = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\\": escaped += "\\\\"
            case special: escaped += "\\\(scalar)"
            case "\n": escaped += lineFeed
            case "\r": escaped += carriageReturn
            // What else some reader might take for a line's end.
            case "\0"..<" ", "\u{7F}", "\u{85}", "\u{2028}", "\u{2029}": escaped += " "
            default: escaped.unicodeScalars.append(scalar)
            }
        }
        return escaped
    }

    /// From OCSF's severities (1 informational … 6 fatal) to 0…10.
    private func severity(_ record: TrailRecord) -> Int {
        switch record.severity {
        case 2: 4
        case 3: 6
        case 4: 8
        case 5: 9
        case 6: 10
        default: 1
        }
    }

    /// Keys of the format's dictionary; what that has no key for, under labelled custom ones.
    private static func extensions(_ record: TrailRecord) -> [(String, String)] {
        let isIPv6 = record.address?.contains(":") ?? false
        let rules = record.rules.map { String($0.id) }.joined(separator: ",")
        var extensions: [(String, String?)] = [
            ("rt", text(record.time)), ("externalId", record.requestID),
            ("cat", record.kind == .decision ? "decision" : "outcome"), ("act", record.verdict),
            ("outcome", record.kind == .outcome ? TrailLine.verb(record) : nil),
            ("src", isIPv6 ? nil : record.address), ("requestMethod", record.method), ("request", record.path),
            ("suid", record.principal), ("sntdom", record.issuer), ("sourceServiceName", record.client),
            ("deviceProcessName", record.worker), ("reason", record.reason ?? record.failure),
            ("in", text(record.requestLength)), ("out", text(record.responseLength)),
        ]
        let labelled: [(String, String, String?)] = [
            ("cs1", "route", record.route), ("cs2", "stage", record.stage), ("cs3", "rules", rules),
            ("cs4", "trace", record.trace), ("cs5", "authentication", record.authentication),
            ("cn1", "hotel", text(record.hotel)), ("cn2", "status", text(record.status)),
            ("cn3", "microseconds", text(record.microseconds)),
            ("c6a2", "Source IPv6 Address", isIPv6 ? record.address : nil),
            ("flexNumber2", "score", text(record.score)), ("flexNumber1", "record", String(record.sequence)),
        ]
        for (key, label, value) in labelled {
            guard let value, !value.isEmpty else { continue }
            extensions += [(key, value), ("\(key)Label", label)]
        }
        return extensions.compactMap { key, value in
            value.flatMap { $0.isEmpty ? nil : (key, $0) }
        }
    }

    private static func text(_ number: Int64?) -> String? { number.map { String($0) } }
}
