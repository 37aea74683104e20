internal import CLibUV
internal import Glibc

/// A listening TCP or unix-domain socket.
@OnLoop
public final class Listener {
    /// Connections the kernel may hold before they are accepted.
    public static let backlog: CInt = 4096

    private let handle: UnsafeMutablePointer<uv_stream_t>
    private let isUnix: Bool
    private var waiter: UnsafeContinuation<Stream, any Error>?
    private var isPending = false
    private var isClosed = false

    /// Listens on a socket that is already bound, such as one handed down by a supervisor.
    ///
    /// - Throws: `LoopError` when the descriptor is no stream socket.
    public init(_ socket: consuming ListeningSocket) throws {
        isUnix = socket.isUnix
        handle = makeStreamHandle(isUnix: isUnix)
        // Until `close`, libuv's handle keeps the listener alive.
        handle.pointee.data = Unmanaged.passRetained(self).toOpaque()
        let descriptor = socket.release()
        do {
            if isUnix {
                try check(uv_pipe_open(handle.asPipe, descriptor), "listen")
            } else {
                try check(uv_tcp_open(handle.asTCP, descriptor), "listen")
            }
            try check(
                uv_listen(handle, Self.backlog) { handle, status in
                    let listener = Unmanaged<Listener>.fromOpaque(handle!.pointee.data).takeUnretainedValue()
                    OnLoop.assumeIsolated { listener.connectionArrived(status) }
                    LoopExecutor.shared.drain()
                }, "listen")
        } catch {
            close()
            throw error
        }
    }

    /// Waits for the next connection. While nobody waits, connections stay in the kernel's queue.
    ///
    /// - Throws: `LoopError` `closed` after `close`; `CancellationError`.
    public func next() async throws -> Stream {
        guard !isClosed else { throw LoopError(.closed, "accept") }
        if isPending {
            isPending = false
            if let stream = try? accept() { return stream }
        }
        return try await withTaskCancellationHandler {
            try await withUnsafeThrowingContinuation { continuation in
                if Task.isCancelled {
                    continuation.resume(throwing: CancellationError())
                } else {
                    waiter = continuation
                }
            }
        } onCancel: {
            Loop.perform { self.resumeWaiter(.failure(CancellationError())) }
        }
    }

    /// Stops listening. A socket handed down stays open in the supervisor, and with it the queue of connections.
    public func close() {
        guard !isClosed else { return }
        isClosed = true
        uv_close(handle.asHandle) { handle in
            Unmanaged<Listener>.fromOpaque(handle!.pointee.data).release()
            UnsafeMutableRawPointer(handle!).deallocate()
        }
        resumeWaiter(.failure(LoopError(.closed, "accept")))
    }

    private func connectionArrived(_ status: CInt) {
        guard status == 0, !isClosed else { return }
        guard waiter != nil else {
            // libuv stops watching the socket until the connection is accepted.
            isPending = true
            return
        }
        if let stream = try? accept() { resumeWaiter(.success(stream)) }
    }

    private func accept() throws -> Stream {
        let client = makeStreamHandle(isUnix: isUnix)
        let status = uv_accept(handle, client)
        guard status == 0 else {
            uv_close(client.asHandle) { UnsafeMutableRawPointer($0!).deallocate() }
            throw LoopError(status, "accept")
        }
        return Stream(client, isUnix ? StreamDescription() : StreamDescription(tcp: client))
    }

    private func resumeWaiter(_ result: Result<Stream, any Error>) {
        guard let waiter else { return }
        self.waiter = nil
        waiter.resume(with: result)
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
