internal import Glibc

/// A listening TCP or unix-domain socket.
///
/// It takes a connection out of the kernel's queue only for a task that waits for one, because a connection taken and
/// not yet handed out would be lost when the listener closes. (libuv's own listening handle always takes one ahead; and
/// out of descriptors it hangs up on everybody in the queue, where this one lets them wait.)
@OnLoop
public final class Listener {
    /// Connections the kernel may hold before they are accepted.
    public nonisolated static let backlog: CInt = 4096

    /// Connections taken in a row before other sockets get their turn.
    private static let acceptsPerTurn = 64

    /// How long accepting rests when the process or the machine is out of descriptors or memory.
    private static let restWhenExhausted: Duration = .milliseconds(100)

    private let descriptor: CInt
    private var poller: Poller?
    private let waiter = Waiter<Void>()
    private var acceptsThisTurn = 0

    /// Listens on a socket that is already bound, such as one handed down by a supervisor. To be closed with `close`.
    ///
    /// - Throws: `LoopError` when the descriptor is no stream socket.
    public init(_ socket: consuming ListeningSocket) throws {
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
                var peer = SocketAddress()
                if let socket = Socket(acceptedFrom: descriptor, peer: &peer) { return try Stream(socket, peer: peer) }
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
