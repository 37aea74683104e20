internal import JSONText
internal import Ledger

/// One record as an auditor sees it. The one place that knows which member of a record says what: OCSF HTTP Activity,
/// and under `unmapped` what that has no place for.
struct TrailRecord {
    /// What a record is about.
    enum Kind: Equatable {
        /// What was decided about a request.
        case decision
        /// What became of a request.
        case outcome
        /// What the ledger says itself, such as `segment` or `recovered`.
        case ledger(event: String)
        /// A line that is no record, or one of a kind that is not known here.
        case unknown
    }

    /// One firewall rule that matched.
    struct Rule: Equatable {
        let id: Int64
        let variable: String?
    }

    /// The record's place in the ledger.
    let sequence: UInt64
    /// The segment's file name and the line in it.
    let file: String
    let lineNumber: Int
    let kind: Kind
    /// Where in the line its object is.
    let object: Range<Int>?
    /// The record's own object.
    let json: JSONValue

    init(_ line: LedgerLine, in segment: String, _ bytes: Span<UInt8>) {
        sequence = line.sequence
        file = segment
        lineNumber = line.number
        object = line.object
        let text = line.object.map { bytes.extracting($0).withUnsafeBufferPointer { Array($0) } } ?? []
        guard let json = try? JSONValue(parsing: text) else {
            self.json = .null
            kind = .unknown
            return
        }
        self.json = json
        if line.isLedgersOwn {
            kind = .ledger(event: json["event"]?.string ?? "")
        } else {
            switch json["metadata"]?["log_name"]?.string {
            case "decision": kind = .decision
            case "outcome": kind = .outcome
            default: kind = .unknown
            }
        }
    }

    /// In milliseconds since 1970.
    var time: Int64? { json["time"]?.integer }
    var requestID: String? { json["metadata"]?["uid"]?.string }
    var trace: String? { json["metadata"]?["correlation_uid"]?.string }
    var severity: Int64? { json["severity_id"]?.integer }
    var method: String? { json["http_request"]?["http_method"]?.string }
    var path: String? { json["http_request"]?["url"]?["path"]?.string }
    var requestLength: Int64? { json["http_request"]?["length"]?.integer }
    var responseLength: Int64? { json["http_response"]?["length"]?.integer }
    var address: String? { json["src_endpoint"]?["ip"]?.string }
    var worker: String? { json["dst_endpoint"]?["svc_name"]?.string }
    var tlsVersion: String? { json["tls"]?["version"]?.string }
    var principal: String? { json["actor"]?["user"]?["uid"]?.string }
    var issuer: String? { json["actor"]?["user"]?["domain"]?.string }
    var client: String? { json["actor"]?["app_uid"]?.string }
    var authentication: String? { own("authentication")?.string }
    var route: String? { own("route")?.string }
    var hotel: Int64? { own("hotel_id")?.integer }
    var verdict: String? { own("verdict")?.string }
    var stage: String? { own("stage")?.string }
    var reason: String? { own("reason")?.string }
    var failure: String? { own("failure")?.string }
    var upstreamStatus: Int64? { own("upstream_status")?.integer }
    /// Whether the answer reached its end; `nil` for a decision.
    var isComplete: Bool? { if case .bool(let value)? = own("complete") { value } else { nil } }
    var rules: [Rule] {
        guard case .array(let rules)? = own("rules") else { return [] }
        return rules.compactMap { rule in
            rule["id"]?.integer.map { Rule(id: $0, variable: rule["variable"]?.string) }
        }
    }
    /// The sum of the scores of the firewall's rules.
    var score: Int64? { own("inbound_score")?.integer }
    /// The status that the client got, or was to get; `nil` for none.
    var status: Int64? {
        (json["http_status"] ?? json["http_response"]?["code"])?.integer.flatMap { $0 > 0 ? $0 : nil }
    }
    /// From the request's head to the decision or to the end of the answer.
    var microseconds: Int64? { (own("answered_us") ?? own("decided_us"))?.integer }

    private func own(_ name: String) -> JSONValue? { json["unmapped"]?[name] }
}

/// What stands before a value in a record's bytes, for passing over lines that cannot match without reading them as
/// JSON.
enum TrailMark {
    /// In front of the time; the record's own `time` comes before any other, and before what clients can choose.
    static let time = ByteSearch(Array("\"time\":".utf8))

    static func requestID(_ id: String) -> [UInt8]? { quoted("\"uid", id) }
    static func route(_ route: String) -> [UInt8]? { quoted("\"route", route) }
    static func verdict(_ verdict: String) -> [UInt8]? { quoted("\"verdict", verdict) }
    /// `uid` or `app_uid`.
    static func principal(_ name: String) -> [UInt8]? { quoted("uid", name) }
    static func hotel(_ hotel: Int64) -> [UInt8]? { Array("\"hotel_id\":\(hotel)".utf8) }
    static func rule(_ rule: Int64) -> [UInt8]? { Array("\"id\":\(rule)".utf8) }

    /// `nil` where the value can be written in several ways.
    private static func quoted(_ nameEnd: String, _ value: String) -> [UInt8]? {
        let isPlain = value.utf8.allSatisfy { (0x20..<0x7F).contains($0) && $0 != 0x22 && $0 != 0x2F && $0 != 0x5C }
        return isPlain ? Array("\(nameEnd)\":\"\(value)\"".utf8) : nil
    }
}
