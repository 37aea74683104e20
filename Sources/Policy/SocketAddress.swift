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

    /// The same address with another port.
    public func with(port: Int) -> SocketAddress { SocketAddress(Self.form(host, port))! }

    /// Whether two listeners cannot have these addresses at once: the port is the same, and so is the host, or one of
    /// them is every address (0.0.0.0, [::]) of the same family.
    public func overlaps(_ other: SocketAddress) -> Bool {
        guard port == other.port, port != 0 else { return false }
        let (mine, others) = (bytes, other.bytes)
        return mine.count == others.count
            && (mine == others || mine.allSatisfy { $0 == 0 } || others.allSatisfy { $0 == 0 })
    }

    /// The host in the network's form: an IPv6 address can be written in several ways.
    private var bytes: [UInt8] {
        var bytes = [UInt8](repeating: 0, count: host.contains(":") ? 16 : 4)
        inet_pton(host.contains(":") ? AF_INET6 : AF_INET, host, &bytes)
        return bytes
    }

    private static func form(_ host: String, _ port: Int) -> String {
        host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    }

    /// The form it is written in.
    public var description: String { Self.form(host, port) }
}
