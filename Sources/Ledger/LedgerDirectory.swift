internal import Glibc

/// The files of a ledger. A segment is named by the sequence number of its first record, in 20 digits, so that the
/// names sort as the records do:
///
///     00000000000000000000.jsonl        the records, one a line
///     00000000000000000000.hashes       the hash of each record, 32 bytes each
///     00000000000000000000.checkpoints  the signed checkpoints made while it was written
///     level-8.hashes, level-16.hashes … the roots of all complete subtrees of 2^8, 2^16 … records, 32 bytes each
///     lock                              held by the one writer
struct LedgerDirectory: Sendable {
    /// What belongs to one segment.
    enum Part: String, CaseIterable {
        case records = "jsonl"
        case hashes
        case checkpoints
    }

    let path: String

    /// The path of a part of the segment that begins with record `first`.
    func path(_ first: UInt64, _ part: Part) -> String { "\(path)/\(name(first, part))" }

    /// The name of a part of the segment that begins with record `first`.
    func name(_ first: UInt64, _ part: Part) -> String {
        let digits = String(first)
        return "\(String(repeating: "0", count: 20 - digits.count))\(digits).\(part.rawValue)"
    }

    /// The path of the roots of the complete subtrees of 2^level records.
    func path(level: Int) -> String { "\(path)/level-\(level).hashes" }

    /// The path of the lock.
    var lockPath: String { "\(path)/lock" }

    /// The first records of all segments of which that part is there, in order.
    func segments(_ part: Part = .records) throws(LedgerError) -> [UInt64] {
        guard let directory = opendir(path) else { throw .system("open", path) }
        defer { closedir(directory) }
        var firsts: [UInt64] = []
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            let parts = name.split(separator: ".", omittingEmptySubsequences: false)
            guard parts.count == 2, parts[0].utf8.count == 20, parts[1] == part.rawValue, let first = UInt64(parts[0])
            else { continue }
            firsts.append(first)
        }
        return firsts.sorted()
    }

    /// Makes created and removed names durable.
    func sync() throws(LedgerError) {
        let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw .system("open", path) }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else { throw .system("sync", path) }
    }
}

extension LedgerError {
    /// The system's refusal, from `errno`.
    static func system(_ action: String, _ path: String, _ number: Int32 = errno) -> LedgerError {
        LedgerError(.system(errno: number), "cannot \(action) \(path): \(String(cString: strerror(number)))")
    }
}
