import Glibc
import Loop

/// A listener on a free port of the loopback, or on a unix-domain socket in the temporary directory.
@OnLoop
struct TestListener {
    let listener: Listener
    let endpoint: Endpoint

    init(unix: Bool = false) throws {
        if unix {
            let path = temporaryPath()
            listener = try Listener(ListeningSocket(unixPath: path))
            endpoint = .unix(path: path)
        } else {
            let socket = try ListeningSocket(address: "127.0.0.1", port: 0)
            endpoint = .tcp(address: "127.0.0.1", port: socket.port)
            listener = try Listener(socket)
        }
    }

    func connect() async throws -> Stream {
        try await Stream.connect(to: endpoint, timeout: .seconds(10))
    }

    /// The two ends of one connection.
    func pair() async throws -> (client: Stream, server: Stream) {
        let client = try await connect()
        return (client, try await listener.next())
    }

    /// A socket that does what our own streams would not.
    func rawPeer() throws -> RawPeer {
        guard case .tcp(_, let port) = endpoint else { fatalError("raw peers speak TCP") }
        return try RawPeer(port: port)
    }
}

func temporaryPath() -> String { "/tmp/loop-test-\(UInt64.random(in: 0 ... .max)).sock" }

/// A blocking socket; connecting to loopback and sending little never waits.
final class RawPeer {
    let descriptor: CInt

    init(port: UInt16) throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        let descriptor = descriptor
        let status = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard status == 0 else { throw LoopError(.unreachable, "connect") }
    }

    func send(_ text: String) { _ = Glibc.send(descriptor, text, text.utf8.count, 0) }

    func receive(into buffer: inout [UInt8]) -> Int { recv(descriptor, &buffer, buffer.count, 0) }

    func endOutput() { shutdown(descriptor, Int32(SHUT_WR)) }

    /// Ends the connection with a reset instead of a goodbye.
    func reset() {
        var linger = Glibc.linger(l_onoff: 1, l_linger: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout<Glibc.linger>.size))
        close()
    }

    func close() { Glibc.close(descriptor) }
}

extension Stream {
    /// Takes what is readable.
    func take() -> [UInt8] {
        let bytes = withReadable { span in span.withUnsafeBufferPointer { Array($0) } }
        consume(bytes.count)
        return bytes
    }

    /// Reads until the peer's end, keeping nothing.
    func drain() async throws -> Int {
        var count = 0
        repeat {
            count += readableCount
            consume(readableCount)
        } while try await fill()
        return count + readableCount
    }

    func text(_ count: Int) async throws -> String {
        while readableCount < count {
            guard try await fill() else { break }
        }
        return String(decoding: take(), as: UTF8.self)
    }
}

/// Runs `body` as a task of its own, gives it `turns` of the loop to come to rest, cancels it, and returns how it
/// ended.
@OnLoop
func cancelled<Output: Sendable>(
    afterTurns turns: Int = 3, _ body: @escaping @Sendable @OnLoop () async throws -> Output
) async throws -> Result<Output, any Error> {
    let task = Task { try await body() }
    for _ in 0..<turns { try await Loop.sleep(for: .milliseconds(1)) }
    task.cancel()
    return await task.result
}
