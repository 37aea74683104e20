/// What a request asks for: its target and the authority it is meant for (RFC 9112 §3.2, §3.3).
///
/// Path and query are as sent, still percent-encoded; every byte is a character RFC 3986 allows there, and each `%`
/// is followed by two hexadecimal digits. Dot segments are not resolved: that is the router's business.
public struct RequestTarget: Sendable {
    /// The forms a target may have. The fourth, for CONNECT, is never accepted.
    public enum Form: Sendable, Hashable {
        /// `/path?query`
        case origin
        /// `http://host/path?query`
        case absolute
        /// `*`, with OPTIONS only
        case asterisk
    }

    /// How the target was written.
    public let form: Form
    /// Shared with the message's fields, where the authority of an origin form stands.
    private let arena: [UInt8]
    private let whole: ByteRange
    private let pathRange: ByteRange
    private let queryRange: ByteRange?
    private let authorityRange: ByteRange
    /// True for `https://…`; nil unless the form is absolute.
    private let isSecure: Bool?

    private static let root: [UInt8] = [.slash]
    private static let asterisk: [UInt8] = [UInt8(ascii: "*")]

    init(_ line: TargetLine, authority: Range<Int>, arena: [UInt8]) {
        form = line.form
        self.arena = arena
        whole = ByteRange(line.whole)
        pathRange = ByteRange(line.path)
        queryRange = line.query.map(ByteRange.init)
        authorityRange = ByteRange(authority)
        isSecure = line.isSecure
    }

    /// A target in origin form, for a request of our own.
    /// - Parameters:
    ///   - origin: path and query, percent-encoded, or `*`.
    ///   - authority: host and, where it is not the scheme's, port.
    /// - Returns: nil when one of them is not valid.
    public init?(_ origin: String, authority: String) {
        let target = Array(origin.utf8)
        let arena = target + Array(authority.utf8)
        guard let line = try? TargetLine(arena.span, 0..<target.count), line.form != .absolute,
            Authority.isValid(arena.span, target.count..<arena.count)
        else { return nil }
        self.init(line, authority: target.count..<arena.count, arena: arena)
    }

    /// The same without its query.
    public var withoutQuery: RequestTarget {
        RequestTarget(self, whole: whole.range.lowerBound..<pathRange.range.upperBound)
    }

    private init(_ other: RequestTarget, whole: Range<Int>) {
        form = other.form
        arena = other.arena
        self.whole = ByteRange(whole)
        pathRange = other.pathRange
        queryRange = nil
        authorityRange = other.authorityRange
        isSecure = other.isSecure
    }

    /// The target as it was sent.
    public var bytes: ArraySlice<UInt8> { arena[whole.range] }

    /// The path: `/` where an absolute form has none, `*` for the asterisk form.
    public var pathBytes: ArraySlice<UInt8> {
        if form == .asterisk { return Self.asterisk[...] }
        let path = arena[pathRange.range]
        return path.isEmpty ? Self.root[...] : path
    }

    /// The path: `/` where an absolute form has none, `*` for the asterisk form.
    public var path: String { String(decoding: pathBytes, as: UTF8.self) }

    /// What follows the `?`; nil where there is none.
    public var queryBytes: ArraySlice<UInt8>? { queryRange.map { arena[$0.range] } }

    /// What follows the `?`; nil where there is none.
    public var query: String? { queryBytes.map { String(decoding: $0, as: UTF8.self) } }

    /// Host and port the request is meant for, from the absolute form, otherwise from `Host`; empty for an HTTP/1.0
    /// request that has neither.
    public var authorityBytes: ArraySlice<UInt8> { arena[authorityRange.range] }

    /// Host and port the request is meant for, from the absolute form, otherwise from `Host`; empty for an HTTP/1.0
    /// request that has neither.
    public var authority: String { String(decoding: authorityBytes, as: UTF8.self) }

    /// The scheme of an absolute form.
    public var scheme: Scheme? { isSecure.map { $0 ? .https : .http } }

    /// The target as it is forwarded: path and query, or `*`.
    public var origin: ArraySlice<UInt8> {
        guard form == .absolute else { return bytes }
        let rest = arena[pathRange.range.lowerBound..<(queryRange ?? pathRange).range.upperBound]
        return pathRange.range.isEmpty ? [.slash] + rest : rest
    }

    /// Appends the target in origin form, or `*` (RFC 9112 §3.2.1, §3.2.4).
    func appendOrigin(method: Method, to output: inout OutputSpan<UInt8>) {
        if form == .absolute, method == .options, pathRange.range.isEmpty, queryRange == nil {
            output.append(UInt8(ascii: "*"))
        } else {
            output.append(origin.span)
        }
    }
}

/// The scheme a client used.
public enum Scheme: String, Sendable, Hashable {
    case http
    case https
}

/// A target within a request line, checked against the grammar.
struct TargetLine {
    let form: RequestTarget.Form
    let whole: Range<Int>
    private(set) var authority: Range<Int>
    private(set) var path: Range<Int>
    private(set) var query: Range<Int>?
    private(set) var isSecure: Bool?

    init(_ bytes: Span<UInt8>, _ range: Range<Int>) throws(MessageError) {
        guard let first = range.first else { throw MessageError(.malformedRequestLine) }
        whole = range
        authority = range.lowerBound..<range.lowerBound
        path = authority
        if bytes[first] == .slash {
            form = .origin
            try readPath(bytes, from: first)
        } else if range.count == 1, bytes[first] == UInt8(ascii: "*") {
            form = .asterisk
        } else {
            form = .absolute
            try readPath(bytes, from: try readAuthority(bytes))
        }
    }

    /// Reads `http://authority` and returns where it ends.
    private mutating func readAuthority(_ bytes: Span<UInt8>) throws(MessageError) -> Int {
        let start = whole.lowerBound
        let end = whole.upperBound
        if end - start >= 7, bytes.equals(start..<start + 7, ignoringCase: "http://") {
            isSecure = false
        } else if end - start >= 8, bytes.equals(start..<start + 8, ignoringCase: "https://") {
            isSecure = true
        } else {
            throw MessageError(.invalidTarget)
        }
        let authorityStart = start + (isSecure == true ? 8 : 7)
        var index = authorityStart
        while index < end, bytes[index] != .slash, bytes[index] != UInt8(ascii: "?") { index += 1 }
        authority = authorityStart..<index
        guard Authority.isValid(bytes, authority) else { throw MessageError(.invalidTarget) }
        return index
    }

    private mutating func readPath(_ bytes: Span<UInt8>, from start: Int) throws(MessageError) {
        let pathEnd = try Self.skip(ByteSet.path, bytes, start..<whole.upperBound)
        path = start..<pathEnd
        guard pathEnd < whole.upperBound else { return }
        guard bytes[pathEnd] == UInt8(ascii: "?") else { throw MessageError(.invalidTarget) }
        query = pathEnd + 1..<whole.upperBound
        let queryEnd = try Self.skip(ByteSet.query, bytes, pathEnd + 1..<whole.upperBound)
        guard queryEnd == whole.upperBound else { throw MessageError(.invalidTarget) }
    }

    /// Where the run of characters from the set, and of well-formed percent-encodings, ends.
    private static func skip(
        _ set: ByteSet, _ bytes: Span<UInt8>, _ range: Range<Int>
    ) throws(MessageError) -> Int {
        var index = range.lowerBound
        while index < range.upperBound {
            let byte = bytes[index]
            if set.contains(byte) {
                index &+= 1
            } else if byte == UInt8(ascii: "%") {
                guard index &+ 2 < range.upperBound, bytes[index &+ 1].hexValue != nil,
                    bytes[index &+ 2].hexValue != nil
                else { throw MessageError(.invalidTarget) }
                index &+= 3
            } else {
                break
            }
        }
        return index
    }
}
