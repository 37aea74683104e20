internal import Glibc

/// The lines of a file, one after the other, in a bounded buffer.
struct LineReader: ~Copyable {
    /// The longest line; what has no newline within it is given as a line of that length.
    static let lineBound = 1 << 20

    /// Holds the line that `next` found.
    private(set) var buffer: [UInt8]
    /// The position in the file behind the lines given so far.
    private(set) var offset = 0

    private let descriptor: Int32
    private let path: String
    private var start = 0
    private var end = 0

    /// Opens a file.
    ///
    /// - Parameter capacity: the longest line.
    init(path: String, capacity: Int = lineBound) throws(LedgerError) {
        descriptor = open(path, O_RDONLY | O_CLOEXEC)
        self.path = path
        buffer = [UInt8](repeating: 0, count: capacity)
        guard descriptor >= 0 else { throw .system("open", path) }
        posix_fadvise(descriptor, 0, 0, POSIX_FADV_SEQUENTIAL)
    }

    deinit { close(descriptor) }

    /// Where in `buffer` the next line is, without its newline; `nil` when there is no other complete one.
    mutating func next() throws(LedgerError) -> Range<Int>? {
        while true {
            if let length = lengthOfLine() {
                let line = start..<start + length
                start += length + 1
                offset += length + 1
                return line
            }
            if end - start == buffer.count {
                defer {
                    offset += end - start
                    start = end
                }
                return start..<end
            }
            guard try fill() else { return nil }
        }
    }

    /// The bytes behind the last complete line, once `next` has returned `nil`.
    var remainder: Int { end - start }

    /// Forgets the remainder, to read again what is behind the last complete line: a writer that was started anew has
    /// cut a torn line off there, and one that found the disk full has taken back whole ones.
    mutating func startOver() throws(LedgerError) {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw .system("read", path) }
        offset = min(offset, Int(status.st_size))
        guard lseek(descriptor, offset, SEEK_SET) == offset else { throw .system("read", path) }
        start = 0
        end = 0
    }

    private func lengthOfLine() -> Int? {
        buffer.withUnsafeBytes { bytes in
            guard let base = bytes.baseAddress, let found = memchr(base + start, 0x0A, end - start) else { return nil }
            return UnsafeRawPointer(found) - (base + start)
        }
    }

    private mutating func fill() throws(LedgerError) -> Bool {
        let kept = end - start
        let (from, first) = (start, buffer.startIndex)
        let count = buffer.withUnsafeMutableBytes { bytes in
            memmove(bytes.baseAddress! + first, bytes.baseAddress! + from, kept)
            while true {
                let count = read(descriptor, bytes.baseAddress! + kept, bytes.count - kept)
                if count >= 0 || errno != EINTR { return count }
            }
        }
        guard count >= 0 else { throw .system("read", path) }
        start = 0
        end = kept + count
        return count > 0
    }
}

/// Whole files that are bounded by the size of a segment.
enum SmallFile {
    /// The bytes of a file; none if it does not exist.
    static func read(_ path: String) throws(LedgerError) -> [UInt8] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            if errno == ENOENT { return [] }
            throw .system("open", path)
        }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw .system("read", path) }
        var bytes = [UInt8](repeating: 0, count: Int(status.st_size))
        var filled = 0
        while filled < bytes.count {
            let count = bytes.withUnsafeMutableBytes {
                Glibc.read(descriptor, $0.baseAddress! + filled, $0.count - filled)
            }
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw .system("read", path) }
            if count == 0 { break }
            filled += count
        }
        return Array(bytes.prefix(filled))
    }
}
