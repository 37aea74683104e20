internal import CLibUV
internal import Glibc

/// An address as the kernel takes and gives it: IPv4, IPv6, or a unix-domain socket's path.
struct SocketAddress {
    private var storage = sockaddr_storage()
    private var length: socklen_t

    /// - Parameter address: IPv4 or IPv6, as text.
    init(_ address: String, port: UInt16) throws(LoopError) {
        length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isIPv4 = withUnsafeMutablePointer(to: &storage) {
            $0.withMemoryRebound(to: sockaddr_in.self, capacity: 1) { uv_ip4_addr(address, CInt(port), $0) == 0 }
        }
        if isIPv4 { return }
        length = socklen_t(MemoryLayout<sockaddr_in6>.size)
        let isIPv6 = withUnsafeMutablePointer(to: &storage) {
            $0.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) { uv_ip6_addr(address, CInt(port), $0) == 0 }
        }
        guard isIPv6 else { throw LoopError(UV_EINVAL.rawValue, "parse address") }
    }

    init(unixPath path: String) throws(LoopError) {
        length = socklen_t(MemoryLayout<sockaddr_un>.size)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        // One byte stays zero: the path's end.
        guard path.utf8.count < MemoryLayout.size(ofValue: address.sun_path) else {
            throw LoopError(UV_ENAMETOOLONG.rawValue, "parse address")
        }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        withUnsafeMutableBytes(of: &storage) { storage in
            withUnsafeBytes(of: address) { storage.copyMemory(from: $0) }
        }
    }

    /// An address that `receive` will fill.
    init() { length = 0 }

    /// Lets a system call such as `accept` write the address; returns what it returned.
    mutating func receive(
        from call: (UnsafeMutablePointer<sockaddr>, UnsafeMutablePointer<socklen_t>) -> CInt
    ) -> CInt {
        length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        return withUnsafeMutablePointer(to: &storage) { storage in
            storage.withMemoryRebound(to: sockaddr.self, capacity: 1) { call($0, &length) }
        }
    }

    /// Gives the address to a system call such as `bind`; returns what it returned.
    func pass(to call: (UnsafePointer<sockaddr>, socklen_t) -> CInt) -> CInt {
        withUnsafePointer(to: storage) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { call($0, length) }
        }
    }

    var family: CInt { CInt(storage.ss_family) }
    var isUnix: Bool { family == AF_UNIX }

    /// The TCP port; 0 for a unix-domain socket.
    var port: UInt16 {
        guard !isUnix else { return 0 }
        return withUnsafePointer(to: storage) { address in
            // sin_port and sin6_port stand at the same offset.
            address.withMemoryRebound(to: sockaddr_in.self, capacity: 1) { UInt16(bigEndian: $0.pointee.sin_port) }
        }
    }

    /// The IPv4 or IPv6 address as text, without port; empty for a unix-domain socket.
    var host: String {
        withUnsafePointer(to: storage) { address in
            address.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(INET6_ADDRSTRLEN)) { text in
                    let status = uv_ip_name(address, text.baseAddress!, text.count)
                    return status == 0 ? String(cString: text.baseAddress!) : ""
                }
            }
        }
    }
}
