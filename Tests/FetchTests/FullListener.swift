import Glibc
import Testing

/// A place where connections are neither taken nor refused: the queue of those that wait to be accepted is full, so the kernel
/// lets whoever comes next ask in vain.
final class FullListener {
    let port: UInt16
    private let listener: Int32
    private let waiting: Int32

    /// - Parameters:
    ///   - address: one of this machine, in numbers.
    ///   - port: 0 for any that is free.
    init(_ address: String = "127.0.0.1", port: UInt16 = 0) throws {
        var hints = addrinfo()
        hints.ai_flags = AI_NUMERICHOST | AI_PASSIVE
        hints.ai_socktype = CInt(SOCK_STREAM.rawValue)
        var found: UnsafeMutablePointer<addrinfo>?
        try #require(getaddrinfo(address, "\(port)", &hints, &found) == 0)
        defer { freeaddrinfo(found) }
        let place = try #require(found).pointee
        let listener = socket(place.ai_family, place.ai_socktype | CInt(SOCK_CLOEXEC.rawValue), 0)
        try #require(bind(listener, place.ai_addr, place.ai_addrlen) == 0)
        // One may wait all the same.
        try #require(listen(listener, 0) == 0)
        var own = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let waiting = socket(place.ai_family, place.ai_socktype | CInt(SOCK_CLOEXEC.rawValue), 0)
        let status = withUnsafeMutablePointer(to: &own) { own in
            own.withMemoryRebound(to: sockaddr.self, capacity: 1) { own in
                getsockname(listener, own, &length) == 0 ? connect(waiting, own, length) : -1
            }
        }
        try #require(status == 0)
        (self.listener, self.waiting) = (listener, waiting)
        // The port stands in the same place for both families.
        self.port = withUnsafeBytes(of: own) { UInt16(bigEndian: $0.load(fromByteOffset: 2, as: UInt16.self)) }
    }

    deinit {
        close(waiting)
        close(listener)
    }
}
