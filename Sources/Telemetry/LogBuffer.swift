internal import Glibc
public import Loop

/// Lines of the process's log that come with every request: those of a few milliseconds are written together, because
/// each call of the kernel costs as much as several lines.
///
/// When nobody reads the log and the buffer is full, lines are dropped and counted; a request never waits for its line.
@OnLoop
public final class LogBuffer {
    /// Bytes that may wait.
    private static let bound = 256 << 10

    private var bytes: [UInt8] = []
    private let work = Signal()
    private let head: [UInt8]
    private var second: Int64 = -1
    /// The line's beginning, up to the milliseconds.
    private var beginning: [UInt8] = []
    private let dropped = Metrics.counter(
        "drawbridge_log_lines_dropped_total", "Lines left out of the log, because nobody read it.")

    /// - Parameter message: what all lines say; nothing in it needs escaping.
    public init(message: StaticString) {
        head = Array("Z\",\"level\":\"info\",\"process\":\"\(Log.processName)\",\"message\":\"\(message)\"".utf8)
        bytes.reserveCapacity(Self.bound)
    }

    /// Adds a line; `append` appends its members, each with a comma before it.
    ///
    /// - Parameter time: milliseconds since 1970.
    public func add(time: Int64, _ append: (inout [UInt8]) -> Void) {
        guard bytes.count < Self.bound else { return dropped.increment() }
        let (second, milliseconds) = time.quotientAndRemainder(dividingBy: 1000)
        if second != self.second {
            self.second = second
            beginning = Array("{\"time\":\"\(RFC3339.string(Double(second)).dropLast(4))".utf8)
        }
        bytes += beginning
        for divisor in [100, 10, 1] as [Int64] { bytes.append(48 + UInt8(milliseconds / divisor % 10)) }
        bytes += head
        append(&bytes)
        bytes.append(UInt8(ascii: "}"))
        bytes.append(UInt8(ascii: "\n"))
        work.fire()
    }

    /// Writes lines until the task is cancelled.
    public func run() async {
        while !Task.isCancelled {
            do {
                try await work.wait()
                try await Loop.sleep(for: Self.gathering)
                while !flush() { try await Loop.sleep(for: Self.rest) }
            } catch { break }
        }
        _ = flush()
    }

    /// How long a line waits for others.
    private static let gathering = Duration.milliseconds(5)

    /// How long is waited for a reader of the log.
    private static let rest = Duration.milliseconds(20)

    /// - Returns: whether nothing is left.
    private func flush() -> Bool {
        var start = 0
        while start < bytes.count {
            // Others write to it as well, so it is not made non-blocking; what is ready takes this much at once.
            var descriptor = pollfd(fd: STDERR_FILENO, events: Int16(POLLOUT), revents: 0)
            guard poll(&descriptor, 1, 0) == 1 else { break }
            let end = endOfLines(from: start)
            let count = bytes.withUnsafeBytes { write(STDERR_FILENO, $0.baseAddress! + start, end - start) }
            // A log that is gone is not waited for.
            guard count > 0 else {
                if count < 0, errno == EINTR || errno == EAGAIN { continue }
                start = bytes.count
                break
            }
            start += count
        }
        if start == bytes.count {
            bytes.removeAll(keepingCapacity: true)
        } else {
            bytes.removeFirst(start)
        }
        return bytes.isEmpty
    }

    /// As many whole lines as the kernel takes from a pipe's writer at once and undivided; at least one.
    private func endOfLines(from start: Int) -> Int {
        let lineFeed = UInt8(ascii: "\n")
        guard bytes.count - start > Log.lineBound else { return bytes.count }
        if let last = bytes[start..<start + Log.lineBound].lastIndex(of: lineFeed) { return last + 1 }
        return bytes[start...].firstIndex(of: lineFeed).map { $0 + 1 } ?? bytes.count
    }
}
