internal import CLibUV

/// Where a stream can be connected to.
public enum Endpoint: Sendable, Hashable, CustomStringConvertible {
    /// A unix-domain socket's path.
    case unix(path: String)
    /// An IPv4 or IPv6 address as text, and a port.
    case tcp(address: String, port: UInt16)

    public var description: String {
        switch self {
        case .unix(let path): path
        case .tcp(let address, let port): address.contains(":") ? "[\(address)]:\(port)" : "\(address):\(port)"
        }
    }

    fileprivate func socketAddress() throws(LoopError) -> SocketAddress {
        switch self {
        case .unix(let path): try SocketAddress(unixPath: path)
        case .tcp(let address, let port): try SocketAddress(address, port: port)
        }
    }
}

extension Stream {
    /// Connects to `endpoint`.
    ///
    /// - Throws: `LoopError`: `timedOut` after `timeout`, `unreachable` when nobody listens; `CancellationError`.
    public static func connect(to endpoint: Endpoint, timeout: Duration) async throws -> Stream {
        try Task.checkCancellation()
        let address = try endpoint.socketAddress()
        let socket = try Socket(family: address.family)
        do {
            if try !socket.connect(to: address) { try await finishConnecting(socket, timeout) }
        } catch {
            socket.close()
            throw error
        }
        return try Stream(socket, peer: address)
    }

    /// Waits until the kernel knows whether the peer has answered.
    private static func finishConnecting(_ socket: Socket, _ timeout: Duration) async throws {
        let outcome = Waiter<Void>()
        let poller = try Poller(descriptor: socket.descriptor) { _ in
            outcome.resume(with: socket.connectionError.map { .failure($0) } ?? .success(()))
        }
        let deadline = Deadline { outcome.resume(with: .failure(LoopError(UV_ETIMEDOUT.rawValue, "connect"))) }
        defer {
            poller.close()
            deadline.cancel()
        }
        try await outcome.wait {
            poller.watch(.writable)
            deadline.set(timeout)
            return nil
        }
    }
}
