internal import Glibc
public import Loop

/// The child's side of systemd's notification protocol (`sd_notify(3)`): a datagram to the socket in `NOTIFY_SOCKET`.
public enum Readiness {
    /// The environment variable with the supervisor's socket.
    public static let socketVariable = "NOTIFY_SOCKET"

    /// Says that this process serves. Does nothing when nobody asked to be told.
    ///
    /// - Parameter process: this process's name, such as `gateway-0`.
    public static func report(process: String) { send("READY=1\nDRAWBRIDGE_PROCESS=\(process)") }

    /// A connection to whoever wants to be told, made while this process still may: before it becomes another user.
    public struct Reporter: ~Copyable {
        private let descriptor: Int32

        /// Connects; does nothing when nobody asked to be told.
        public init() {
            guard let path = Lifecycle.environment(socketVariable) else {
                descriptor = -1
                return
            }
            descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
            _ = withUnixAddress(path) { connect(descriptor, $0, $1) }
        }

        deinit { if descriptor >= 0 { close(descriptor) } }

        /// Says that this process serves.
        public func report(process: String) {
            guard descriptor >= 0 else { return }
            let message = Array("READY=1\nDRAWBRIDGE_PROCESS=\(process)".utf8)
            _ = Glibc.send(descriptor, message, message.count, Int32(MSG_NOSIGNAL))
        }
    }

    /// Says that this process is about to end, so that a longer stop is not taken for a hang.
    public static func reportStopping() { send("STOPPING=1") }

    /// Says that this process finishes what is open and ends, so that another can take its place at once.
    ///
    /// - Parameter process: this process's name, such as `gateway-0`.
    public static func reportStopping(process: String) {
        send("STOPPING=1\nMAINPID=\(getpid())\nDRAWBRIDGE_PROCESS=\(process)")
    }

    private static func send(_ message: String) {
        guard let path = Lifecycle.environment(socketVariable) else { return }
        send(message, to: path)
    }

    static func send(_ message: String, to path: String) {
        let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        let message = Array(message.utf8)
        _ = withUnixAddress(path) { address, length in
            sendto(descriptor, message, message.count, Int32(MSG_NOSIGNAL), address, length)
        }
    }
}

/// What a child says of itself.
public enum ChildReport: Hashable, Sendable {
    /// It serves.
    case ready(process: String)
    /// It finishes what is open and ends.
    case stopping(process: String, processID: Int32)

    /// Reads a message; `nil` for any other.
    init?(_ message: String) {
        let lines = message.split(separator: "\n")
        func value(_ name: String) -> String? {
            lines.first { $0.hasPrefix(name + "=") }.map { String($0.dropFirst(name.count + 1)) }
        }
        guard let process = value("DRAWBRIDGE_PROCESS") else { return nil }
        if value("READY") == "1" {
            self = .ready(process: process)
        } else if value("STOPPING") == "1", let processID = value("MAINPID").flatMap({ Int32($0) }) {
            self = .stopping(process: process, processID: processID)
        } else {
            return nil
        }
    }
}

/// The supervisor's side: a datagram socket on which children say how they are.
@OnLoop
public final class ReadinessListener {
    /// The longest message read.
    private static let messageBound = 1024

    private let path: String
    private let descriptor: Int32
    private var poller: Poller?
    private let onReport: @OnLoop (ChildReport) -> Void

    /// - Parameters:
    ///   - path: where to make the socket, in a directory that only this user may enter; at most 107 bytes.
    ///   - onReport: called with what a child says.
    public init(path: String, onReport: @escaping @OnLoop (ChildReport) -> Void) throws {
        self.path = path
        self.onReport = onReport
        let type = Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
        descriptor = socket(AF_UNIX, type, 0)
        guard descriptor >= 0 else { throw SocketError(path: path, number: errno) }
        unlink(path)
        let bound = withUnixAddress(path) { bind(descriptor, $0, $1) }
        guard bound == 0, chmod(path, 0o600) == 0 else {
            let error = SocketError(path: path, number: bound == nil ? ENAMETOOLONG : errno)
            Glibc.close(descriptor)
            throw error
        }
        poller = try Poller(descriptor: descriptor) { [unowned self] _ in self.receive() }
        poller?.watch(.readable)
    }

    /// Stops listening and removes the socket.
    public func close() {
        guard let poller else { return }
        self.poller = nil
        poller.close()
        Glibc.close(descriptor)
        unlink(path)
    }

    private func receive() {
        var buffer = [UInt8](repeating: 0, count: Self.messageBound)
        while true {
            let count = recv(descriptor, &buffer, buffer.count, 0)
            guard count > 0 else { return }
            if let report = ChildReport(String(decoding: buffer[..<count], as: UTF8.self)) { onReport(report) }
        }
    }

    /// A socket that could not be made.
    public struct SocketError: Error, CustomStringConvertible {
        let path: String
        let number: Int32

        public var description: String { "\(path): \(String(cString: strerror(number)))" }
    }
}

/// Lends the socket address of a path; `@` at its start means Linux's abstract namespace. `nil` when it is too long.
private func withUnixAddress<Result>(
    _ path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result
) -> Result? {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    var bytes = Array(path.utf8)
    if bytes.first == UInt8(ascii: "@") { bytes[0] = 0 }
    guard bytes.count < MemoryLayout.size(ofValue: address.sun_path) else { return nil }
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
    // An abstract name has no end mark, so its length is part of the address.
    let isAbstract = bytes.first == 0
    let length = MemoryLayout<sa_family_t>.size + bytes.count + (isAbstract ? 0 : 1)
    return withUnsafePointer(to: address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(length)) }
    }
}
