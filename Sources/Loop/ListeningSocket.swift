internal import CLibUV
internal import Glibc

/// A bound socket that is not listening yet: opened here, or handed down by a supervisor. Closed unless released.
public struct ListeningSocket: ~Copyable {
    private var descriptor: CInt

    /// The TCP port; 0 for a unix-domain socket.
    public let port: UInt16

    /// Takes over a descriptor that the supervisor bound.
    ///
    /// - Throws: `LoopError` when it is no stream socket.
    public init(inherited descriptor: CInt) throws(LoopError) {
        var address = SocketAddress()
        guard address.receive(from: { getsockname(descriptor, $0, $1) }) == 0 else {
            throw LoopError(-errno, "inherit socket")
        }
        var type: CInt = 0
        var size = socklen_t(MemoryLayout<CInt>.size)
        getsockopt(descriptor, SOL_SOCKET, SO_TYPE, &type, &size)
        guard type == Int32(SOCK_STREAM.rawValue) else {
            throw LoopError(UV_ESOCKTNOSUPPORT.rawValue, "inherit socket")
        }
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        self.descriptor = descriptor
        port = address.port
    }

    /// Binds a TCP socket.
    ///
    /// - Parameters:
    ///   - address: an IPv4 or IPv6 address as text.
    ///   - port: 0 for any free one.
    ///   - isShared: whether other sockets may listen on the same port (`SO_REUSEPORT`), the kernel spreading
    ///     connections.
    public init(address: String, port: UInt16, isShared: Bool = false) throws(LoopError) {
        let address = try SocketAddress(address, port: port)
        let descriptor = socket(address.family, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw LoopError(-errno, "socket") }
        var on: CInt = 1
        let size = socklen_t(MemoryLayout<CInt>.size)
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, size)
        if isShared { setsockopt(descriptor, SOL_SOCKET, SO_REUSEPORT, &on, size) }
        if address.family == AF_INET6 { setsockopt(descriptor, Int32(IPPROTO_IPV6), IPV6_V6ONLY, &on, size) }
        guard address.pass(to: { bind(descriptor, $0, $1) }) == 0 else {
            let error = LoopError(-errno, "bind")
            Glibc.close(descriptor)
            throw error
        }
        try self.init(inherited: descriptor)
    }

    /// Binds a unix-domain socket, in place of one that a dead process left behind.
    ///
    /// - Parameter mode: who may connect, as file permissions.
    public init(unixPath path: String, mode: UInt32 = 0o600) throws(LoopError) {
        let address = try SocketAddress(unixPath: path)
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw LoopError(-errno, "socket") }
        unlink(path)
        guard address.pass(to: { bind(descriptor, $0, $1) }) == 0, chmod(path, mode) == 0 else {
            let error = LoopError(-errno, "bind")
            Glibc.close(descriptor)
            throw error
        }
        try self.init(inherited: descriptor)
    }

    /// The sockets a supervisor handed down, by the protocol of systemd: `LISTEN_FDS` of them from descriptor 3 on,
    /// named in `LISTEN_FDNAMES`. `LISTEN_PID`, where set, must be this process.
    public static func inherited() throws(LoopError) -> [(name: String, descriptor: CInt)] {
        guard let count = environment("LISTEN_FDS").flatMap({ CInt($0) }), count > 0, count < 64 else { return [] }
        if let pid = environment("LISTEN_PID"), pid != String(getpid()) { return [] }
        let names = (environment("LISTEN_FDNAMES") ?? "").split(separator: ":", omittingEmptySubsequences: false)
        return (0..<count).map { (Int($0) < names.count ? String(names[Int($0)]) : "", 3 + $0) }
    }

    deinit { if descriptor >= 0 { Glibc.close(descriptor) } }

    /// Lets connections wait for whoever will take them.
    ///
    /// - Parameter isFirst: whether it is refused where anybody listens on the port already. Sockets of one user that
    ///   share a port may all be bound at once; of several that begin to listen as the first, one can.
    /// - Throws: `LoopError`.
    public func listen(asFirst isFirst: Bool) throws(LoopError) {
        var isShared: CInt = 0
        var size = socklen_t(MemoryLayout<CInt>.size)
        getsockopt(descriptor, SOL_SOCKET, SO_REUSEPORT, &isShared, &size)
        // The kernel compares a socket with the others once more when it begins to listen; and then alone does
        // SO_REUSEADDR let it share a port with none that listens.
        if isFirst { share(0) }
        defer { share(isShared) }
        guard Glibc.listen(descriptor, Listener.backlog) == 0 else { throw LoopError(-errno, "listen") }
    }

    private func share(_ isShared: CInt) {
        var isShared = isShared
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEPORT, &isShared, socklen_t(MemoryLayout<CInt>.size))
    }

    /// Gives the descriptor away; the caller closes it.
    consuming func release() -> CInt {
        let descriptor = self.descriptor
        discard self
        return descriptor
    }

    /// The descriptor, for a child process to inherit while this value lives.
    public var inheritable: CInt { descriptor }

    private static func environment(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }
}
