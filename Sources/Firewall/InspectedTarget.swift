internal import HTTP

/// A request's target as rules are to see it.
enum InspectedTarget {
    /// Appends path and query, with every `%3F` of the path written `%253F` and every hexadecimal digit of an id as a zero.
    ///
    /// libmodsecurity 3.0.9 decodes the target before it looks for the `?` that ends the path (CVE-2024-1019, mended in
    /// 3.0.12), so whatever follows a `%3F` would be missing from the path that rules see. Written so, it is decoded to
    /// `%3F`, which the rules' own transformations decode to `?`.
    static func append(_ request: FirewallRequest, to bytes: inout [UInt8]) {
        let target = request.head.target
        let start = bytes.count
        bytes.append(contentsOf: target.origin)
        for index in request.ids.indices {
            for position in request.ids[index] where isHexadecimal(bytes[start + position]) {
                bytes[start + position] = UInt8(ascii: "0")
            }
        }
        let end = start + target.pathBytes.count
        guard bytes[start..<end].contains(UInt8(ascii: "%")) else { return }
        let rest = bytes[start...]
        bytes.removeSubrange(start...)
        for index in rest.indices {
            bytes.append(rest[index])
            if index < end, isEncodedQuestionMark(rest[index..<end]) { bytes.append(contentsOf: "25".utf8) }
        }
    }

    private static func isHexadecimal(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "f"),
            UInt8(ascii: "A")...UInt8(ascii: "F"):
            true
        default: false
        }
    }

    private static func isEncodedQuestionMark(_ bytes: ArraySlice<UInt8>) -> Bool {
        let start = bytes.startIndex
        return bytes[start] == UInt8(ascii: "%") && bytes.count >= 3 && bytes[start + 1] == UInt8(ascii: "3")
            && bytes[start + 2] | 0x20 == UInt8(ascii: "f")
    }
}
