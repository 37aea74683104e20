/// The request methods Drawbridge knows (RFC 9110 §9, RFC 5789). Any other is answered 501.
public enum Method: String, Sendable, Hashable, CaseIterable {
    case get = "GET"
    case head = "HEAD"
    case post = "POST"
    case put = "PUT"
    case patch = "PATCH"
    case delete = "DELETE"
    case options = "OPTIONS"

    /// Whether sending the request twice means the same as sending it once (RFC 9110 §9.2.2).
    public var isIdempotent: Bool { self != .post && self != .patch }

    /// Whether the method only reads (RFC 9110 §9.2.1).
    public var isSafe: Bool { self == .get || self == .head || self == .options }

    /// Whether content has a meaning with this method, so that its absence is worth a `Content-Length: 0`.
    var expectsContent: Bool { self == .post || self == .put || self == .patch }

    private static let words = allCases.map { method in
        (word: method.rawValue.utf8.reduce(0) { $0 << 8 | UInt64($1) }, method: method)
    }

    /// The method the range spells; methods are case-sensitive.
    init?(_ bytes: Span<UInt8>, _ range: Range<Int>) {
        guard range.count <= 8 else { return nil }
        var word: UInt64 = 0
        for index in range { word = word << 8 | UInt64(bytes[index]) }
        for known in Self.words where known.word == word {
            self = known.method
            return
        }
        return nil
    }
}

/// The protocol version of a message. A later HTTP/1.x counts as HTTP/1.1 (RFC 9110 §2.5).
public enum Version: Sendable, Hashable {
    case http10
    case http11

    /// Reads `HTTP/x.y`, which must fill the range.
    init(_ bytes: Span<UInt8>, _ range: Range<Int>) throws(MessageError) {
        let start = range.lowerBound
        guard range.count == 8, bytes[start] == UInt8(ascii: "H"), bytes[start + 1] == UInt8(ascii: "T"),
            bytes[start + 2] == UInt8(ascii: "T"), bytes[start + 3] == UInt8(ascii: "P"),
            bytes[start + 4] == .slash, bytes[start + 5].isDigit, bytes[start + 6] == UInt8(ascii: "."),
            bytes[start + 7].isDigit
        else { throw MessageError(.invalidVersion) }
        guard bytes[start + 5] == UInt8(ascii: "1") else { throw MessageError(.unsupportedVersion) }
        self = bytes[start + 7] == UInt8(ascii: "0") ? .http10 : .http11
    }
}
