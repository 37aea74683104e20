import Cryptography
import Glibc
import Ledger
import Synchronization

@testable import AuditTrail

/// An installation's home with a ledger in it, removed afterwards, and the command over it.
final class AuditFixture {
    let home: String
    let key = Ed25519PrivateKey()
    let auditKey = [UInt8](repeating: 7, count: 32)
    let clock = TestClock()
    var configuration = LedgerConfiguration()

    var ledger: String { "\(home)/ledger" }
    var records: String { "\(ledger)/records" }
    var signer: NoteSigner { get throws { try NoteSigner(name: "hotel.example/ledger", key: key) } }

    init() throws {
        var template = Array("/tmp/dba-XXXXXX".utf8CString)
        home = String(cString: mkdtemp(&template))
        for name in ["ledger", "ledger/records", "keys"] { mkdir("\(home)/\(name)", 0o700) }
        let clock = clock
        configuration.clock = { clock.milliseconds }
        configuration.checkpointSeconds = .max
        write("\(try signer.verifier)\n", to: "\(ledger)/verifiers")
        write(Base64.standard.encode(auditKey), to: "\(home)/keys/audit.key")
    }

    deinit {
        for directory in [records, ledger, "\(home)/keys", home] {
            for name in Self.names(in: directory) { unlink("\(directory)/\(name)") }
            rmdir(directory)
        }
    }

    /// What a command has said.
    struct Said {
        var status: Int32 = 0
        var output = ""
        var remarks = ""

        var lines: [String] { output.split(separator: "\n").map(String.init) }
    }

    /// Runs `drawbridge audit …`.
    ///
    /// - Parameter wait: what happens while the command waits for news.
    func run(_ arguments: String..., wait: @escaping () -> Bool = { false }) throws -> Said {
        try run(arguments, wait: wait)
    }

    func run(_ arguments: [String], wait: @escaping () -> Bool = { false }) throws -> Said {
        guard let command = try AuditCommand(arguments) else { return Said(output: AuditCommand.usage) }
        let output = Text()
        let remarks = Text()
        let session = AuditSession(
            home: home, release: "1.2", now: Int64(clock.milliseconds), output: TrailOutput { output.bytes += $0 },
            remarks: TrailOutput { remarks.bytes += $0 }, showsProgress: false, wait: wait)
        let status = command.run(session)
        return Said(
            status: status, output: String(decoding: output.bytes, as: UTF8.self),
            remarks: String(decoding: remarks.bytes, as: UTF8.self))
    }

    private final class Text {
        var bytes: [UInt8] = []
    }

    // MARK: Writing

    func writer() throws -> LedgerWriter {
        try LedgerWriter.open(directory: records, configuration: configuration, signer: signer)
    }

    /// Three segments of some dozen requests, a second apart.
    func fill(requests: Int = 60) throws {
        configuration.segmentByteBound = 30_000
        configuration.checkpointRecords = 20
        var writer = try writer()
        for number in 0..<requests {
            _ = try writer.keep(Self.request(number, time: clock.milliseconds))
            clock.advance(seconds: 1)
        }
        try writer.close()
    }

    /// A decision and an outcome as the gateway writes them. Every tenth request is refused by the firewall.
    static func request(_ number: Int, time: UInt64, path: String = "/api/booking-engine/bookings") -> RecordBatch {
        var batch = RecordBatch()
        try! batch.add(decision(number, time: time, path: path).utf8.span)
        try! batch.add(outcome(number, time: time, path: path).utf8.span)
        return batch
    }

    static func decision(_ number: Int, time: UInt64, path: String = "/api/booking-engine/bookings") -> String {
        let isRefused = number % 10 == 9
        let status = #""severity_id":3,"action_id":2,"disposition_id":2,"status_id":2,"http_status":403"#
        let passes = #""severity_id":1,"action_id":1,"disposition_id":1,"status_id":1"#
        let verdict =
            isRefused
            ? #""verdict":"refused","stage":"firewall","reason":"score","rule_count":1,"inbound_score":5,"#
                + #""rules":[{"id":942100,"variable":"ARGS:comment"}]"#
            : #""verdict":"allowed""#
        return head("decision", number, time) + (isRefused ? status : passes) + "," + request(number, path)
            + #","tls":{"version":"1.3"},"actor":{"user":{"uid":"be-\#(number % 3)","domain":"https://issuer.example"},"#
            + #""app_uid":"booking-engine"},"unmapped":{"route":"\#(route(number))","hotel_id":\#(number % 4),"#
            + #""authentication":"jwt",\#(verdict),"decided_us":456}}"#
    }

    static func outcome(_ number: Int, time: UInt64, path: String = "/api/booking-engine/bookings") -> String {
        let status = number % 10 == 9 ? 403 : 201
        return head("outcome", number, time + 12) + #""severity_id":1,"status_id":1,"duration":12,"#
            + request(number, path)
            + #","http_response":{"code":\#(status),"length":77,"latency":11},"#
            + #""unmapped":{"route":"\#(route(number))","hotel_id":\#(number % 4),"complete":true,"answered_us":12345}}"#
    }

    static func id(_ number: Int) -> String {
        let digits = String(number, radix: 16)
        return "0123456789abcdef" + String(repeating: "0", count: 16 - digits.count) + digits
    }

    private static func route(_ number: Int) -> String { number % 2 == 0 ? "createBooking" : "getAvailability" }

    private static func head(_ kind: String, _ number: Int, _ time: UInt64) -> String {
        #"{"class_uid":4002,"category_uid":4,"activity_id":6,"type_uid":400206,"time":\#(time),"#
            + #""metadata":{"version":"1.7.0","log_name":"\#(kind)","uid":"\#(id(number))","#
            + #""profiles":["security_control"],"product":{"name":"Drawbridge","vendor_name":"Drawbridge"}},"#
    }

    private static func request(_ number: Int, _ path: String) -> String {
        #""http_request":{"http_method":"POST","url":{"path":"\#(path)"},"length":321},"#
            + #""src_endpoint":{"ip":"203.0.113.\#(number % 5)"},"dst_endpoint":{"svc_name":"gateway-0"}"#
    }

    // MARK: Files

    static func names(in path: String) -> [String] {
        guard let directory = opendir(path) else { return [] }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    var segments: [String] { Self.names(in: records).filter { $0.hasSuffix(".jsonl") } }

    /// The records before a segment, from its name.
    func first(_ segment: String) -> Int { Int(segment.prefix(20))! }

    func read(_ name: String) throws -> [UInt8] { try LedgerLocation.read("\(records)/\(name)") }

    func lines(_ segment: String) throws -> [String] {
        String(decoding: try read(segment), as: UTF8.self).split(separator: "\n").map(String.init)
    }

    func setLines(_ lines: [String], _ segment: String) {
        write(lines.joined(separator: "\n") + "\n", to: "\(records)/\(segment)")
    }

    func write(_ text: String, to path: String) { write(Array(text.utf8), to: path) }

    func write(_ bytes: [UInt8], to path: String) {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        defer { close(descriptor) }
        precondition(Glibc.write(descriptor, bytes, bytes.count) == bytes.count)
    }

    /// The newest checkpoint, in a file outside of the ledger.
    func keepCheckpoint(_ name: String = "kept") throws -> String {
        let path = "\(home)/\(name)"
        let newest = try StoredCheckpoints.newest(
            in: records, origin: signer.verifier.name, keys: [signer.verifier])!
        write(newest.note, to: path)
        return path
    }
}

final class TestClock: Sendable {
    private let time = Mutex<UInt64>(1_700_000_000_000)

    var milliseconds: UInt64 { time.withLock { $0 } }

    func advance(seconds: UInt64) { time.withLock { $0 += seconds * 1000 } }
}

extension LedgerWriter {
    /// Appends a batch after what has come due, as the ledger's process does.
    mutating func keep(_ batch: RecordBatch) throws(LedgerError) -> Range<UInt64> {
        try tick()
        return try append(batch)
    }
}
