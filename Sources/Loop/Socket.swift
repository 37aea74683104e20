internal import CLibUV
internal import Glibc

/// A non-blocking stream socket's descriptor, and the system calls made on it.
struct Socket {
    let descriptor: CInt

    private static let flags = CInt(SOCK_NONBLOCK.rawValue) | CInt(SOCK_CLOEXEC.rawValue)

    init(family: CInt) throws(LoopError) {
        descriptor = socket(family, CInt(SOCK_STREAM.rawValue) | Self.flags, 0)
        guard descriptor >= 0 else { throw LoopError(-errno, "socket") }
    }

    /// Takes a connection out of a listening socket's queue; nil, with `errno` set, when there is none.
    init?(acceptedFrom listener: CInt, peer: inout SocketAddress) {
        descriptor = peer.receive { accept4(listener, $0, $1, Self.flags) }
        if descriptor < 0 { return nil }
    }

    /// - Returns: whether the connection is there; when not, the socket becomes writable when `connectionError` tells.
    func connect(to address: SocketAddress) throws(LoopError) -> Bool {
        if address.pass(to: { Glibc.connect(descriptor, $0, $1) }) == 0 { return true }
        guard errno == EINPROGRESS else { throw LoopError(-errno, "connect") }
        return false
    }

    /// Why the connection was not made; nil when it was.
    var connectionError: LoopError? {
        var code: CInt = 0
        var size = socklen_t(MemoryLayout<CInt>.size)
        getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &code, &size)
        return code == 0 ? nil : LoopError(-code, "connect")
    }

    /// Turns off Nagle's delay, which would hold back the tail of an answer.
    func sendWithoutDelay() {
        var on: CInt = 1
        setsockopt(descriptor, CInt(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<CInt>.size))
    }

    /// Moves to `room`, which is not empty, what has arrived.
    ///
    /// `recv` and `send`, because the kernel takes them a shorter way than `read` and `write`.
    ///
    /// - Returns: how many bytes; 0 when the peer has ended its side, nil when nothing is here.
    @inline(__always)
    func receive(into room: UnsafeMutableRawBufferPointer) throws(LoopError) -> Int? {
        while true {
            let count = recv(descriptor, room.baseAddress, room.count, 0)
            if count >= 0 { return count }
            switch errno {
            case EINTR: continue
            case EAGAIN: return nil
            case let code: throw LoopError(-code, "read")
            }
        }
    }

    /// - Returns: how many of the bytes the kernel has taken.
    @inline(__always)
    func send(_ bytes: UnsafeRawBufferPointer) throws(LoopError) -> Int {
        guard !bytes.isEmpty else { return 0 }
        while true {
            let count = Glibc.send(descriptor, bytes.baseAddress, bytes.count, CInt(MSG_NOSIGNAL))
            if count >= 0 { return count }
            switch errno {
            case EINTR: continue
            case EAGAIN, ENOBUFS: return 0
            case let code: throw LoopError(-code, "write")
            }
        }
    }

    /// Tells the peer that nothing more will come.
    func endOutput() { shutdown(descriptor, CInt(SHUT_WR)) }

    /// Lets `close` throw away what has not been sent, and tell the peer so.
    func resetOnClose() {
        var linger = linger(l_onoff: 1, l_linger: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout.size(ofValue: linger)))
    }

    func close() { Glibc.close(descriptor) }
}
