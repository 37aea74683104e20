internal import CLibUV
internal import Glibc

/// A bound socket that is not listening yet: opened here, or handed down by a supervisor. Closed unless released.
public struct ListeningSocket: ~Copyable {
    private var descriptor: CInt
    let isUnix: Bool

    /// The TCP port; 0 for a unix-domain socket.
    public let port: UInt16

    /// Takes over a descriptor that the supervisor bound.
    ///
    /// - Throws: `LoopError` when it is no stream socket.
    public init(inherited descriptor: CInt) throws(LoopError) {
        var address = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let status = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &length) }
        }
        guard status == 0 else { throw LoopError(-errno, "inherit socket") }
        var type: CInt = 0
        var size = socklen_t(MemoryLayout<CInt>.size)
        getsockopt(descriptor, SOL_SOCKET, SO_TYPE, &type, &size)
        guard type == Int32(SOCK_STREAM.rawValue) else {
            throw LoopError(UV_ESOCKTNOSUPPORT.rawValue, "inherit socket")
        }
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        self.descriptor = descriptor
        isUnix = Int32(address.ss_family) == AF_UNIX
        port = isUnix ? 0 : Self.port(of: address)
    }

    /// Binds a TCP socket.
    ///
    /// - Parameters:
    ///   - address: an IPv4 or IPv6 address as text.
    ///   - port: 0 for any free one.
    ///   - isShared: whether other sockets may listen on the same port (`SO_REUSEPORT`), the kernel spreading connections.
    public init(address: String, port: UInt16, isShared: Bool = false) throws(LoopError) {
        var storage = sockaddr_storage()
        let family = try Self.parse(address, port, into: &storage)
        let descriptor = socket(family, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw LoopError(-errno, "socket") }
        var on: CInt = 1
        let size = socklen_t(MemoryLayout<CInt>.size)
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, size)
        if isShared { setsockopt(descriptor, SOL_SOCKET, SO_REUSEPORT, &on, size) }
        if family == AF_INET6 { setsockopt(descriptor, Int32(IPPROTO_IPV6), IPV6_V6ONLY, &on, size) }
        let length = socklen_t(family == AF_INET6 ? MemoryLayout<sockaddr_in6>.size : MemoryLayout<sockaddr_in>.size)
        let status = withUnsafePointer(to: &storage) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, length) }
        }
        guard status == 0 else {
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
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8)
        guard bytes.count < MemoryLayout.size(ofValue: address.sun_path) else { throw LoopError(-ENAMETOOLONG, "bind") }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw LoopError(-errno, "socket") }
        unlink(path)
        let status = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard status == 0, chmod(path, mode) == 0 else {
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

    /// Gives the descriptor away; the caller closes it.
    consuming func release() -> CInt {
        let descriptor = self.descriptor
        discard self
        return descriptor
    }

    /// The descriptor, for a child process to inherit while this value lives.
    public var inheritable: CInt { descriptor }

    private static func environment(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }

    private static func parse(
        _ address: String, _ port: UInt16, into storage: inout sockaddr_storage
    ) throws(LoopError) -> Int32 {
        let family = withUnsafeMutablePointer(to: &storage) { storage -> Int32? in
            let status4 = storage.withMemoryRebound(to: sockaddr_in.self, capacity: 1) {
                uv_ip4_addr(address, CInt(port), $0)
            }
            if status4 == 0 { return AF_INET }
            let status6 = storage.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) {
                uv_ip6_addr(address, CInt(port), $0)
            }
            return status6 == 0 ? AF_INET6 : nil
        }
        guard let family else { throw LoopError(UV_EINVAL.rawValue, "parse address") }
        return family
    }

    private static func port(of address: sockaddr_storage) -> UInt16 {
        withUnsafePointer(to: address) { address in
            // sin_port and sin6_port stand at the same offset.
            address.withMemoryRebound(to: sockaddr_in.self, capacity: 1) { UInt16(bigEndian: $0.pointee.sin_port) }
        }
    }
}
