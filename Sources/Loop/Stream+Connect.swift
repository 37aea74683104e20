internal import CLibUV
internal import Glibc

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
}

extension Stream {
    /// Connects to `endpoint`.
    ///
    /// - Throws: `LoopError`: `timedOut` after `timeout`, `unreachable` when nobody listens; `CancellationError`.
    public static func connect(to endpoint: Endpoint, timeout: Duration) async throws -> Stream {
        let isUnix = if case .unix = endpoint { true } else { false }
        let handle = makeStreamHandle(isUnix: isUnix)
        var isConnected = false
        defer { if !isConnected { uv_close(handle.asHandle) { UnsafeMutableRawPointer($0!).deallocate() } } }
        let attempt = ConnectAttempt()
        let deadline = Deadline { attempt.finish(UV_ETIMEDOUT.rawValue) }
        deadline.set(timeout)
        defer { deadline.cancel() }
        try await attempt.run(handle, to: endpoint)
        isConnected = true
        return Stream(handle, isUnix ? StreamDescription() : StreamDescription(tcp: handle))
    }
}

/// One connect request; libuv's request refers to it until libuv has called back.
@OnLoop
private final class ConnectAttempt {
    private let waiter = Waiter<Void>()
    private var result: Result<Void, any Error>?

    func run(_ handle: UnsafeMutablePointer<uv_stream_t>, to endpoint: Endpoint) async throws {
        let request = UnsafeMutablePointer<uv_connect_t>.allocate(capacity: 1)
        request.pointee.data = Unmanaged.passRetained(self).toOpaque()
        let status = start(request, handle, endpoint)
        if status != 0 { Self.completed(request, status) }
        try await waiter.wait { result }
    }

    func finish(_ status: CInt) {
        let result: Result<Void, any Error> = status == 0 ? .success(()) : .failure(LoopError(status, "connect"))
        self.result = result
        waiter.resume(with: result)
    }

    private func start(
        _ request: UnsafeMutablePointer<uv_connect_t>, _ handle: UnsafeMutablePointer<uv_stream_t>, _ endpoint: Endpoint
    ) -> CInt {
        switch endpoint {
        case .unix(let path):
            guard path.utf8.count < 108 else { return UV_ENAMETOOLONG.rawValue }
            uv_pipe_connect(request, handle.asPipe, path) { request, status in
                OnLoop.assumeIsolated { ConnectAttempt.completed(request!, status) }
            }
            return 0
        case .tcp(let address, let port):
            var storage = sockaddr_storage()
            return withUnsafeMutablePointer(to: &storage) { storage in
                let isIPv6 = address.utf8.contains(UInt8(ascii: ":"))
                let status =
                    isIPv6
                    ? storage.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) {
                        uv_ip6_addr(address, CInt(port), $0)
                    }
                    : storage.withMemoryRebound(to: sockaddr_in.self, capacity: 1) {
                        uv_ip4_addr(address, CInt(port), $0)
                    }
                guard status == 0 else { return status }
                return storage.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    uv_tcp_connect(request, handle.asTCP, $0) { request, status in
                        OnLoop.assumeIsolated { ConnectAttempt.completed(request!, status) }
                    }
                }
            }
        }
    }

    private static func completed(_ request: UnsafeMutablePointer<uv_connect_t>, _ status: CInt) {
        Unmanaged<ConnectAttempt>.fromOpaque(request.pointee.data).takeRetainedValue().finish(status)
        request.deallocate()
    }
}
