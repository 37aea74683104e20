/// A URL of HTTP, taken apart strictly: only what every reader of RFC 3986 takes apart in the same way is one.
package struct WebAddress: Hashable {
    /// Whether it is `https`.
    package let isSecure: Bool
    let host: Host
    let port: UInt16
    /// Path and query; begins with `/`.
    let target: String

    /// The longest one, in bytes.
    package static let maximumByteCount = 2048

    /// Takes one apart.
    package init(_ text: String) throws(EgressRefusal) {
        guard text.utf8.count <= Self.maximumByteCount else {
            throw EgressRefusal(.form, "longer than \(Self.maximumByteCount) bytes")
        }
        guard text.utf8.allSatisfy({ (0x21...0x7e).contains($0) && $0 != UInt8(ascii: "\\") }) else {
            throw EgressRefusal(.form, "a space, a backslash, a control character or one that is not ASCII")
        }
        guard let colon = text.firstRange(of: "://") else { throw EgressRefusal(.form, "no scheme") }
        switch text[..<colon.lowerBound].lowercased() {
        case "https": isSecure = true
        case "http": isSecure = false
        default: throw EgressRefusal(.scheme, "neither https nor http")
        }
        let rest = text[colon.upperBound...]
        guard !rest.contains("#") else { throw EgressRefusal(.form, "a fragment") }
        let end = rest.firstIndex { $0 == "/" || $0 == "?" } ?? rest.endIndex
        (host, port) = try Self.authority(rest[..<end], isSecure: isSecure)
        target = try Self.target(rest[end...])
    }

    private static func authority(_ text: Substring, isSecure: Bool) throws(EgressRefusal) -> (Host, UInt16) {
        guard !text.contains("@") else { throw EgressRefusal(.userInformation, "a user's name") }
        // Behind the brackets of an IPv6 address there is one colon at most.
        let hostEnd = text.hasPrefix("[") ? (text.firstIndex(of: "]") ?? text.startIndex) : text.startIndex
        let colon = text[hostEnd...].firstIndex(of: ":") ?? text.endIndex
        guard let host = Host(String(text[..<colon])) else {
            throw EgressRefusal(
                .host, "no name, and no address in the form of 192.0.2.7 or [2001:db8::7]: \(text[..<colon])")
        }
        guard colon < text.endIndex else { return (host, isSecure ? 443 : 80) }
        let digits = text[colon...].dropFirst()
        guard (1...5).contains(digits.utf8.count), digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
            let port = UInt16(digits), port > 0
        else { throw EgressRefusal(.port, "no port: \(digits)") }
        return (host, port)
    }

    /// `path-abempty [ "?" query ]` (RFC 3986 §3.3, §3.4).
    private static func target(_ text: Substring) throws(EgressRefusal) -> String {
        let bytes = Array(text.utf8)
        for (index, byte) in bytes.enumerated() {
            if byte == UInt8(ascii: "%") {
                let digits = bytes[(index + 1)...].prefix(2)
                guard digits.count == 2, digits.allSatisfy({ Character(Unicode.Scalar($0)).isHexDigit }) else {
                    throw EgressRefusal(.form, "a % without two hexadecimal digits")
                }
            } else if "\"<>[]^`{|}".utf8.contains(byte) {
                throw EgressRefusal(.form, "\(Character(Unicode.Scalar(byte))) in path or query")
            }
        }
        return text.hasPrefix("/") ? String(text) : "/\(text)"
    }

    /// Whether it is this machine by its own loopback address, or by the name that stands for it (RFC 6761 §6.3).
    package var isLoopback: Bool {
        switch host {
        case .address(let address): SpecialAddress(address) == .loopback
        case .name(let name): name == "localhost"
        }
    }

    /// As it is sent to.
    var text: String {
        "\(isSecure ? "https" : "http")://\(host.text)\(port == (isSecure ? 443 : 80) ? "" : ":\(port)")\(target)"
    }
}
