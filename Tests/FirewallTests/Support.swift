import FoundationEssentials
import Glibc
import HTTP

@testable import Firewall

/// The engines under test: whatever implements `FirewallEngine` is added here, and passes the same suite.
enum EngineKind: CaseIterable {
    case secLang

    var engine: any FirewallEngine {
        switch self {
        case .secLang: Self.secLangEngine
        }
    }

    /// Loaded once, as in a process.
    private static let secLangEngine: SecLangEngine = {
        do { return try SecLangEngine(.committed) } catch { fatalError("\(error)") }
    }()

    func inspect(_ request: FirewallRequest, _ settings: FirewallSettings = FirewallSettings()) throws -> Finding {
        try engine.inspect(request, settings, within: FirewallPolicy.committed.inspectionTime * slowness)
    }
}

extension FirewallPolicy {
    /// The rules in this repository, over the core rule set that is installed.
    static let committed = FirewallPolicy(directory: repository + "/Policies/firewall")
}

private let repository = #filePath.split(separator: "/").dropLast(3).reduce("") { "\($0)/\($1)" }

/// A request as a booking engine sends it, with what a test adds.
struct TestRequest: Sendable, CustomStringConvertible {
    var method: Method
    var target: String
    var fields: [(String, String)] = []
    var content: [UInt8] = []
    var contentType: String?
    var note = ""

    static let token = "Bearer eyJhbGciOiJSUzI1NiIsImtpZCI6IjEifQ.eyJzdWIiOiJlbmdpbmUifQ.c2lnbmF0dXJlLXdpdGgtXw"

    static func get(_ target: String, _ fields: (String, String)...) -> Self {
        Self(method: .get, target: target, fields: fields)
    }

    static func json(
        _ text: String, _ method: Method = .post, _ target: String = "/api/booking-engine/bookings"
    ) -> Self {
        Self(method: method, target: target, content: Array(text.utf8), contentType: "application/json")
    }

    static func form(_ text: String) -> Self {
        Self(
            method: .post, target: "/api/booking-engine/bookings", content: Array(text.utf8),
            contentType: "application/x-www-form-urlencoded")
    }

    /// For lists of tests.
    func called(_ note: String) -> Self {
        var request = self
        request.note = note
        return request
    }

    var description: String { note.isEmpty ? "\(method.rawValue) \(target.prefix(80))" : note }

    var request: FirewallRequest {
        var fields = Fields()
        fields.append("Host", "booking.hotel.example")
        fields.append("User-Agent", "booking-engine/4.2 (node)")
        fields.append("Accept", "application/json")
        fields.append("Accept-Encoding", "gzip, deflate, br")
        fields.append("Authorization", Self.token)
        if let contentType { fields.append("Content-Type", contentType) }
        if !content.isEmpty { fields.append("Content-Length", "\(content.count)") }
        for (name, value) in self.fields { fields.append(name, value) }
        guard let target = RequestTarget(target, authority: "booking.hotel.example") else {
            fatalError("no target: \(target)")
        }
        return FirewallRequest(
            head: RequestHead(
                method: method, target: target, fields: fields,
                framing: content.isEmpty ? .none : .length(UInt64(content.count))),
            ids: .init(repeating: 0..<0), content: content, clientAddress: "192.0.2.7", clientPort: 50_000)
    }
}

/// A directory with the committed rules, to be changed, that is removed with the object.
final class RuleDirectory: Sendable {
    let path: String

    init() throws {
        var template = Array("/tmp/dbfw-XXXXXX\0".utf8CString)
        path = template.withUnsafeMutableBufferPointer { String(cString: mkdtemp($0.baseAddress!)) }
        for name in ["drawbridge.conf", "rules.conf", "exclusions.conf"] {
            try FileManager.default.copyItem(
                atPath: "\(FirewallPolicy.committed.directory)/\(name)", toPath: "\(path)/\(name)")
        }
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    var policy: FirewallPolicy { FirewallPolicy(directory: path) }

    /// - Returns: the number of the last line.
    @discardableResult
    func append(_ text: String, to name: String) throws -> Int {
        let old = FileManager.default.contents(atPath: "\(path)/\(name)") ?? Data()
        let new = old + Data(text.utf8)
        try new.write(to: URL(filePath: "\(path)/\(name)"))
        return new.count { $0 == 10 }
    }
}

/// Whether a sanitizer watches: everything takes longer then, and what is freed is kept for a while.
let isWatched = dlsym(nil, "__asan_init") != nil || dlsym(nil, "__tsan_init") != nil

/// How much longer things may take.
let slowness = isWatched ? 20 : 1

/// Resident memory of this process, in bytes.
func residentMemory() -> Int {
    let text = (try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8)) ?? ""
    return (Int(text.split(separator: " ").dropFirst().first ?? "") ?? 0) * Int(sysconf(Int32(_SC_PAGESIZE)))
}

/// Processor time that the calling thread has used; a busy machine does not make it run faster.
func threadProcessorTime() -> Duration {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
}
