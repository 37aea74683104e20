import Cryptography
import Glibc
import Synchronization

@testable import Ledger

/// A ledger in a directory of its own, removed afterwards.
final class LedgerFixture {
    let path: String
    let key = Ed25519PrivateKey()
    let clock = TestClock()
    var configuration = LedgerConfiguration()

    init() {
        var template = Array("/tmp/dbl-XXXXXX".utf8CString)
        path = String(cString: mkdtemp(&template))
        let clock = clock
        configuration.clock = { clock.milliseconds }
        configuration.checkpointSeconds = .max
    }

    deinit {
        for name in names { unlink("\(path)/\(name)") }
        rmdir(path)
    }

    var signer: NoteSigner { get throws { try NoteSigner(name: "hotel.example/ledger", key: key) } }

    var names: [String] {
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

    func writer() throws -> LedgerWriter {
        try LedgerWriter.open(directory: path, configuration: configuration, signer: signer)
    }

    func verify(known: [Checkpoint] = []) throws -> LedgerReport {
        try LedgerVerifier(
            directory: path, origin: "hotel.example/ledger", keys: [signer.verifier], known: known
        ).verify()
    }

    var segments: [UInt64] { get throws { try LedgerDirectory(path: path).segments() } }

    func file(_ first: UInt64, _ part: LedgerDirectory.Part) -> String { LedgerDirectory(path: path).path(first, part) }

    func lines(_ first: UInt64 = 0) throws -> [String] {
        try String(decoding: SmallFile.read(file(first, .records)), as: UTF8.self)
            .split(separator: "\n").map(String.init)
    }

    func setLines(_ lines: [String], _ first: UInt64 = 0) {
        write(Array((lines.joined(separator: "\n") + "\n").utf8), to: file(first, .records))
    }

    func write(_ bytes: [UInt8], to path: String) {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o640)
        var offset = 0
        while offset < bytes.count {
            offset += bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress! + offset, bytes.count - offset) }
        }
        close(descriptor)
    }

    /// Every file of the ledger, to be put back later.
    func snapshot() throws -> [String: [UInt8]] {
        try Dictionary(uniqueKeysWithValues: names.map { ($0, try SmallFile.read("\(path)/\($0)")) })
    }
}

final class TestClock: Sendable {
    private let time = Mutex<UInt64>(1_700_000_000_000)

    var milliseconds: UInt64 { time.withLock { $0 } }

    func advance(seconds: UInt64) { time.withLock { $0 += seconds * 1000 } }
}

/// A batch of `count` records, the first with number `first`.
func batch(_ count: Int, from first: Int = 0) -> RecordBatch {
    var batch = RecordBatch()
    for number in first..<first + count {
        try! batch.add("{\"number\":\(number),\"route\":\"getAvailability\",\"verdict\":\"allow\"}".utf8.span)
    }
    return batch
}
