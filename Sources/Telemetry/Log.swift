internal import Glibc
internal import Loop

/// The process's log: one JSON object a line on standard error.
///
/// Messages are constant; what varies goes into fields. Secrets and guests' personal data go nowhere.
public enum Log {
    public enum Level: String, Sendable, CaseIterable {
        case debug, info, warning, error

        var rank: Int { Self.allCases.firstIndex(of: self)! }
    }

    /// The environment variable that names the least level written; `info` where it names none.
    public static let levelVariable = "DRAWBRIDGE_LOG_LEVEL"

    private static let threshold =
        getenv(levelVariable).flatMap { Level(rawValue: String(cString: $0)) } ?? .info

    /// A field's value.
    public enum Value: Sendable, ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral {
        case string(String)
        case integer(Int64)
        case number(Double)
        case bool(Bool)

        public init(stringLiteral value: String) { self = .string(value) }
        public init(integerLiteral value: Int64) { self = .integer(value) }
        public init(booleanLiteral value: Bool) { self = .bool(value) }
        public init(_ value: some BinaryInteger) { self = .integer(Int64(clamping: value)) }
        public init(_ value: some StringProtocol) { self = .string(String(value)) }
        public init(error: any Error) { self = .string(String(describing: error)) }
    }

    /// A longer line is cut, because the kernel takes this much from a pipe's writer whole or not at all.
    static let lineBound = 4096

    /// The process's name in every line; set once, before the first line.
    public static func start(process name: String) { process = name }

    // Written by `start` before any task runs.
    nonisolated(unsafe) private static var process = "drawbridge"

    /// The name in every line.
    static var processName: String { process }

    public static func debug(_ message: StaticString, _ fields: KeyValuePairs<StaticString, Value> = [:]) {
        write(.debug, message, fields)
    }

    public static func info(_ message: StaticString, _ fields: KeyValuePairs<StaticString, Value> = [:]) {
        write(.info, message, fields)
    }

    public static func warning(_ message: StaticString, _ fields: KeyValuePairs<StaticString, Value> = [:]) {
        write(.warning, message, fields)
    }

    public static func error(_ message: StaticString, _ fields: KeyValuePairs<StaticString, Value> = [:]) {
        write(.error, message, fields)
    }

    private static func write(_ level: Level, _ message: StaticString, _ fields: KeyValuePairs<StaticString, Value>) {
        guard level.rank >= threshold.rank else { return }
        var line = self.line(level, message, fields, at: Loop.unixTime)
        line.append(UInt8(ascii: "\n"))
        // A log that nobody reads must not stop the loop: a line that would have to wait is dropped.
        var descriptor = pollfd(fd: STDERR_FILENO, events: Int16(POLLOUT), revents: 0)
        guard poll(&descriptor, 1, 0) == 1 else { return }
        _ = Glibc.write(STDERR_FILENO, line, line.count)
    }

    static func line(
        _ level: Level, _ message: StaticString, _ fields: KeyValuePairs<StaticString, Value>, at unixTime: Double
    ) -> [UInt8] {
        var line = JSONLine(bound: lineBound - 2)
        line.add("time", .string(RFC3339.string(unixTime)))
        line.add("level", .string(level.rawValue))
        line.add("process", .string(process))
        line.add("message", .string(message.description))
        for (name, value) in fields { line.add(name, value) }
        return line.finish()
    }
}

/// One flat JSON object that stays under a bound: a field that does not fit is left out.
private struct JSONLine {
    private var bytes: [UInt8] = [UInt8(ascii: "{")]
    private let bound: Int

    init(bound: Int) {
        self.bound = bound
        bytes.reserveCapacity(256)
    }

    mutating func add(_ name: StaticString, _ value: Log.Value) {
        let start = bytes.count
        if start > 1 { bytes.append(UInt8(ascii: ",")) }
        append(quoted: name.description)
        bytes.append(UInt8(ascii: ":"))
        switch value {
        case .string(let string): append(quoted: string.utf8.count > 1024 ? String(string.prefix(256)) + "…" : string)
        case .integer(let integer): bytes.append(contentsOf: String(integer).utf8)
        case .number(let number): bytes.append(contentsOf: (number.isFinite ? String(number) : "null").utf8)
        case .bool(let bool): bytes.append(contentsOf: (bool ? "true" : "false").utf8)
        }
        if bytes.count > bound { bytes.removeSubrange(start...) }
    }

    consuming func finish() -> [UInt8] {
        bytes.append(UInt8(ascii: "}"))
        return bytes
    }

    private mutating func append(quoted string: String) {
        bytes.append(UInt8(ascii: "\""))
        for byte in string.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"):
                bytes.append(UInt8(ascii: "\\"))
                bytes.append(byte)
            case 0..<0x20, 0x7f:
                bytes.append(contentsOf: "\\u00".utf8)
                for digit in [byte >> 4, byte & 15] { bytes.append(digit < 10 ? 48 + digit : 87 + digit) }
            default: bytes.append(byte)
            }
        }
        bytes.append(UInt8(ascii: "\""))
    }
}

/// Instants as RFC 3339 UTC with milliseconds.
enum RFC3339 {
    static func string(_ unixTime: Double) -> String {
        var seconds = time_t(unixTime)
        let milliseconds = Int((unixTime - Double(seconds)) * 1000)
        var parts = tm()
        gmtime_r(&seconds, &parts)
        func two(_ value: Int32) -> String { value < 10 ? "0\(value)" : "\(value)" }
        let fraction = String(1000 + milliseconds).dropFirst()
        return "\(parts.tm_year + 1900)-\(two(parts.tm_mon + 1))-\(two(parts.tm_mday))T"
            + "\(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec)).\(fraction)Z"
    }
}
