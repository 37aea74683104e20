/// Whether a text can be the address of an endpoint: of its form only. Where it leads is looked at whenever something is sent
/// there, for names may lead elsewhere by then.
public enum EndpointAddress {
    /// Bytes of an address.
    public static let byteCounts = 1...2048

    /// What is wrong with an address, as a sentence that repeats nothing of it; nil where it can be used.
    ///
    /// An absolute `https` address (RFC 3986) without user, password and fragment is taken, ASCII throughout.
    ///
    /// - Parameter allowsPlainLoopback: whether `http` is taken, too, where the host is this machine by its own loopback
    ///   address or as `localhost`: in the demo, whose receivers have no certificate.
    public static func fault(of text: String, allowsPlainLoopback: Bool) -> String? {
        guard byteCounts.contains(text.utf8.count) else {
            return "An address of at most \(byteCounts.upperBound) characters is expected"
        }
        guard text.utf8.allSatisfy({ 0x21...0x7E ~= $0 && !"\"<>\\^`{|}#".utf8.contains($0) }) else {
            return "An address in ASCII is expected, without blanks and without a fragment"
        }
        let isPlain = text.hasPrefix("http://")
        guard isPlain || text.hasPrefix("https://") else { return "An https address is expected" }
        let authority = text.dropFirst(isPlain ? 7 : 8).prefix { $0 != "/" && $0 != "?" }
        guard !authority.utf8.contains(UInt8(ascii: "@")) else {
            return "No user and no password may stand in the address"
        }
        guard isTarget(text.utf8.dropFirst((isPlain ? 7 : 8) + authority.utf8.count)) else {
            return "Path and query of the address are not percent-encoded as they should be"
        }
        guard let host = host(in: authority) else { return "The address has no host, or a port that is none" }
        guard !isPlain || allowsPlainLoopback && isLoopback(host) else {
            return allowsPlainLoopback
                ? "An https address is expected; http only on this machine's loopback" : "An https address is expected"
        }
        return nil
    }

    /// `path-abempty [ "?" query ]` (RFC 3986 §3.3, §3.4), as far as it is not looked at before.
    private static func isTarget(_ bytes: some Sequence<UInt8>) -> Bool {
        // Hexadecimal digits that a percent sign still asks for.
        var digits = 0
        for byte in bytes {
            if digits > 0 {
                guard isHexadecimal(byte) else { return false }
                digits -= 1
            } else if byte == UInt8(ascii: "%") {
                digits = 2
            } else if byte == UInt8(ascii: "[") || byte == UInt8(ascii: "]") {
                return false
            }
        }
        return digits == 0
    }

    /// The host of an authority; nil where it is none, or what follows it is no port.
    private static func host(in authority: Substring) -> Substring? {
        var host = authority
        var port: Substring?
        if authority.first == "[" {
            guard let end = authority.firstIndex(of: "]") else { return nil }
            host = authority[...end]
            let rest = authority[authority.index(after: end)...]
            guard rest.isEmpty || rest.first == ":" else { return nil }
            port = rest.isEmpty ? nil : rest.dropFirst()
        } else if let colon = authority.firstIndex(of: ":") {
            host = authority[..<colon]
            port = authority[authority.index(after: colon)...]
        }
        if let port {
            guard port.utf8.allSatisfy({ 0x30...0x39 ~= $0 }), let number = UInt16(port), number > 0 else { return nil }
        }
        return isHost(host) ? host : nil
    }

    /// A name as RFC 1123 §2.1 has it, which IPv4 addresses are in form, or an IPv6 address in brackets.
    private static func isHost(_ host: Substring) -> Bool {
        if host.first == "[" {
            let address = host.dropFirst().dropLast()
            return address.utf8.contains(UInt8(ascii: ":"))
                && address.utf8.allSatisfy { isHexadecimal($0) || $0 == UInt8(ascii: ":") || $0 == UInt8(ascii: ".") }
        }
        return (1...253).contains(host.utf8.count)
            && host.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { label in
                (1...63).contains(label.utf8.count) && label.first != "-" && label.last != "-"
                    && label.utf8.allSatisfy { isAlphanumeric($0) || $0 == UInt8(ascii: "-") }
            }
    }

    /// 127.0.0.0/8, ::1, or the name that stands for them (RFC 6761 §6.3).
    private static func isLoopback(_ host: Substring) -> Bool {
        if host == "localhost" || host == "[::1]" { return true }
        let numbers = host.split(separator: ".", omittingEmptySubsequences: false)
        return numbers.count == 4 && numbers[0] == "127" && numbers.allSatisfy { UInt8($0) != nil }
    }

    private static func isHexadecimal(_ byte: UInt8) -> Bool {
        0x30...0x39 ~= byte || 0x41...0x46 ~= byte || 0x61...0x66 ~= byte
    }

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        0x30...0x39 ~= byte || 0x41...0x5A ~= byte || 0x61...0x7A ~= byte
    }
}
