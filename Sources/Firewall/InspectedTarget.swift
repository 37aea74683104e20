internal import HTTP

/// A request's target as libmodsecurity is to read it.
enum InspectedTarget {
    /// Path and query, with every `%3F` of the path written `%253F`.
    ///
    /// libmodsecurity 3.0.9 decodes the target before it looks for the `?` that ends the path (CVE-2024-1019, mended in
    /// 3.0.12), so whatever follows a `%3F` would be missing from the path that rules see. Written so, it is decoded to
    /// `%3F`, which the rules' own transformations decode to `?`.
    static func bytes(of target: RequestTarget) -> ArraySlice<UInt8> {
        let path = target.pathBytes
        guard path.contains(UInt8(ascii: "%")) else { return target.origin }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(target.origin.count + 16)
        for index in path.indices {
            bytes.append(path[index])
            if isEncodedQuestionMark(path[index...]) { bytes.append(contentsOf: "25".utf8) }
        }
        return bytes + target.origin.dropFirst(path.count)
    }

    private static func isEncodedQuestionMark(_ bytes: ArraySlice<UInt8>) -> Bool {
        let start = bytes.startIndex
        return bytes[start] == UInt8(ascii: "%") && bytes.count >= 3 && bytes[start + 1] == UInt8(ascii: "3")
            && bytes[start + 2] | 0x20 == UInt8(ascii: "f")
    }
}
