internal import CLibUV
internal import Glibc

/// A listening TCP or unix-domain socket.
///
/// It takes a connection out of the kernel's queue only for a task that waits for one, because a connection taken and
/// not yet handed out would be lost when the listener closes. (libuv's own listening handle always takes one ahead; and
/// out of descriptors it hangs up on everybody in the queue, where this one lets them wait.)
@OnLoop
public final class Listener {
    /// Connections the kernel may hold before they are accepted.
    public static let backlog: CInt = 4096

    /// Connections taken in a row before other sockets get their turn.
    private static let acceptsPerTurn = 64

    /// How long accepting rests when the process or the machine is out of descriptors or memory.
    private static let restWhenExhausted: Duration = .milliseconds(100)

    private let descriptor: CInt
    private let isUnix: Bool
    private var poller: Poller?
    private let waiter = Waiter<Void>()
    private var acceptsThisTurn = 0

    /// Listens on a socket that is already bound, such as one handed down by a supervisor. To be closed with `close`.
    ///
    /// - Throws: `LoopError` when the descriptor is no stream socket.
    public init(_ socket: consuming ListeningSocket) throws {
        isUnix = socket.isUnix
        descriptor = socket.inheritable
        guard listen(descriptor, Self.backlog) == 0 else { throw LoopError(-errno, "listen") }
        poller = try Poller(descriptor: descriptor) { _ in self.connectionArrived() }
        _ = socket.release()
    }

    /// Waits for the next connection. While nobody waits, connections stay in the kernel's queue.
    ///
    /// - Throws: `LoopError` `closed` after `close`; `CancellationError`.
    public func next() async throws -> Stream {
        while poller != nil {
            try Task.checkCancellation()
            if acceptsThisTurn < Self.acceptsPerTurn {
                acceptsThisTurn += 1
                let client = accept(descriptor, nil, nil)
                if client >= 0 { return try Stream(accepted: client, isUnix: isUnix) }
                switch errno {
                case EAGAIN: break
                case EBADF, EINVAL, ENOTSOCK, EOPNOTSUPP: throw LoopError(-errno, "accept")
                case EMFILE, ENFILE, ENOBUFS, ENOMEM:
                    try await Loop.sleep(for: Self.restWhenExhausted)
                    continue
                default: continue  // accept(2): this connection has failed already; the next may not have.
                }
            }
            acceptsThisTurn = 0
            try await waiter.wait {
                guard let poller else { return .failure(LoopError(.closed, "accept")) }
                poller.watch(.readable)
                return nil
            }
        }
        throw LoopError(.closed, "accept")
    }

    /// Stops listening. A socket handed down stays open in the supervisor, and with it the queue of connections.
    public func close() {
        guard let poller else { return }
        self.poller = nil
        poller.close()
        Glibc.close(descriptor)
        waiter.resume(with: .failure(LoopError(.closed, "accept")))
    }

    private func connectionArrived() {
        if waiter.isWaiting {
            waiter.resume(with: .success(()))
        } else {
            poller?.watch([])
        }
    }
}

extension Stream {
    /// Takes over a descriptor that the kernel has just accepted.
    fileprivate convenience init(accepted descriptor: CInt, isUnix: Bool) throws {
        // `accept4`, which would set it at once, is hidden from Swift; only this thread starts programs.
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        let handle = makeStreamHandle(isUnix: isUnix)
        let status = isUnix ? uv_pipe_open(handle.asPipe, descriptor) : uv_tcp_open(handle.asTCP, descriptor)
        guard status == 0 else {
            Glibc.close(descriptor)
            uv_close(handle.asHandle) { UnsafeMutableRawPointer($0!).deallocate() }
            throw LoopError(status, "accept")
        }
        self.init(handle, isUnix ? StreamDescription() : StreamDescription(tcp: handle))
    }
}

extension StreamDescription {
    /// Reads the peer's address and turns off Nagle's delay, which would hold back the tail of an answer.
    init(tcp stream: UnsafeMutablePointer<uv_stream_t>) {
        let tcp = stream.asTCP
        uv_tcp_nodelay(tcp, 1)
        var address = sockaddr_storage()
        var length = CInt(MemoryLayout<sockaddr_storage>.size)
        peerAddress = withUnsafeMutablePointer(to: &address) { address in
            address.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                guard uv_tcp_getpeername(tcp, address, &length) == 0 else { return "" }
                return withUnsafeTemporaryAllocation(of: CChar.self, capacity: 64) { text in
                    uv_ip_name(address, text.baseAddress!, 64) == 0 ? String(cString: text.baseAddress!) : ""
                }
            }
        }
    }
}
