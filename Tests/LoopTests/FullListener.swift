import Glibc
import Loop

/// A TCP socket whose queue of connections is full, so that a further one waits for an answer.
final class FullListener {
    let endpoint: Endpoint
    private let descriptor: CInt
    private var fillers: [CInt] = []

    init() throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let listening = descriptor
        withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                bind(listening, address, length)
                listen(listening, 0)
                getsockname(listening, address, &length)
            }
        }
        endpoint = .tcp(address: "127.0.0.1", port: UInt16(bigEndian: address.sin_port))
        for _ in 0..<4 {
            let filler = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
            withUnsafePointer(to: &address) {
                _ = $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(filler, $0, length) }
            }
            fillers.append(filler)
        }
    }

    func close() { for descriptor in fillers + [descriptor] { Glibc.close(descriptor) } }
}
