/// The grammar of `Host` and of the authority in an absolute target: `uri-host [ ":" port ]` (RFC 9110 §7.2), without
/// user information (§4.2.4) and without an empty host (§4.2.1).
enum Authority {
    /// The longest host, which is the longest name there is (RFC 1035 §2.3.4): it is written several times into what is forwarded.
    static let maximumHostLength = 255

    static func isValid(_ bytes: Span<UInt8>, _ range: Range<Int>) -> Bool {
        guard let hostEnd = endOfHost(bytes, range) else { return false }
        if hostEnd == range.upperBound { return true }
        return bytes[hostEnd] == .colon && isPort(bytes, hostEnd + 1..<range.upperBound)
    }

    private static func endOfHost(_ bytes: Span<UInt8>, _ range: Range<Int>) -> Int? {
        guard !range.isEmpty else { return nil }
        var index = range.lowerBound
        if bytes[index] == UInt8(ascii: "[") {
            while index < range.upperBound, bytes[index] != UInt8(ascii: "]") { index += 1 }
            guard index < range.upperBound, isIPv6(bytes, range.lowerBound + 1..<index) else { return nil }
            return index + 1
        }
        let host = ByteSet.host
        while index < range.upperBound, host.contains(bytes[index]) { index += 1 }
        return (1...maximumHostLength).contains(index - range.lowerBound) ? index : nil
    }

    /// `*DIGIT` (RFC 3986 §3.2.3), as far as it is a port.
    private static func isPort(_ bytes: Span<UInt8>, _ range: Range<Int>) -> Bool {
        if range.isEmpty { return true }
        guard range.count <= 5, let port = bytes.decimal(range) else { return false }
        return port <= 65535
    }

    /// `IPv6address` (RFC 3986 §3.2.2): eight groups, of which one run may be written `::`, and the last two may be
    /// written as an IPv4 address. Zones and future versions are refused.
    static func isIPv6(_ bytes: Span<UInt8>, _ range: Range<Int>) -> Bool {
        let end = range.upperBound
        var index = range.lowerBound
        var groups = 0
        var isCompressed = false
        if end - index >= 2, bytes[index] == .colon, bytes[index + 1] == .colon {
            isCompressed = true
            index += 2
        }
        while index < end {
            let start = index
            while index < end, bytes[index].hexValue != nil { index += 1 }
            if index < end, bytes[index] == UInt8(ascii: ".") {
                return isIPv4(bytes, start..<end) && (isCompressed ? groups <= 5 : groups == 6)
            }
            guard (1...4).contains(index - start) else { return false }
            groups += 1
            if index == end { break }
            guard bytes[index] == .colon, index + 1 < end else { return false }
            index += 1
            if bytes[index] == .colon {
                guard !isCompressed else { return false }
                isCompressed = true
                index += 1
            }
        }
        return isCompressed ? groups <= 7 : groups == 8
    }

    static func isIPv4(_ bytes: Span<UInt8>, _ range: Range<Int>) -> Bool {
        var index = range.lowerBound
        for part in 0..<4 {
            let start = index
            while index < range.upperBound, bytes[index].isDigit { index += 1 }
            guard (1...3).contains(index - start), let value = bytes.decimal(start..<index), value <= 255 else {
                return false
            }
            guard index == start + 1 || bytes[start] != UInt8(ascii: "0") else { return false }
            guard part < 3 else { break }
            guard index < range.upperBound, bytes[index] == UInt8(ascii: ".") else { return false }
            index += 1
        }
        return index == range.upperBound
    }
}
