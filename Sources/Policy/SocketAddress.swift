internal import Glibc

/// An address and port to listen on.
public struct SocketAddress: Sendable, Hashable, CustomStringConvertible {
    /// An IPv4 or IPv6 address in numbers, without brackets.
    public let host: String
    /// The port; 0 lets the system choose.
    public let port: Int
    /// Whether only this machine can reach it: 127.0.0.0/8 or ::1.
    public let isLoopback: Bool

    /// Reads `127.0.0.1:8443` or `[::1]:8443`. Names are refused: what they mean can change behind the policy's back.
    public init?(_ text: String) {
        guard let colon = text.lastIndex(of: ":") else { return nil }
        let portText = text[text.index(after: colon)...]
        guard !portText.isEmpty, portText.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let port = Int(portText),
            port <= 65535
        else { return nil }
        let host = text[..<colon]
        self.port = port
        if host.hasPrefix("["), host.hasSuffix("]") {
            self.host = String(host.dropFirst().dropLast())
            var address = in6_addr()
            guard inet_pton(AF_INET6, self.host, &address) == 1 else { return nil }
            isLoopback = withUnsafeBytes(of: address) { $0.dropLast().allSatisfy { $0 == 0 } && $0.last == 1 }
        } else {
            self.host = String(host)
            var address = in_addr()
            guard inet_pton(AF_INET, self.host, &address) == 1 else { return nil }
            isLoopback = withUnsafeBytes(of: address) { $0.first == 127 }
        }
    }

    /// The form it is written in.
    public var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}
