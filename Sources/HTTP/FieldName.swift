/// The field names Drawbridge treats in some way of its own. A name is recognised once, when it is parsed or appended;
/// from then on choosing and dropping fields compares one byte.
public enum FieldName: UInt8, Sendable, Hashable, CaseIterable {
    /// Any name that is not listed here.
    case other
    /// Every `X-Forwarded-…` name.
    case xForwarded
    /// Every `Drawbridge-…` name that is not listed here.
    case drawbridge

    case accept, acceptEncoding, acceptLanguage, age, allow, authorization, cacheControl, cacheStatus, connection
    case contentDigest, contentEncoding, contentLanguage, contentLength, contentLocation, contentRange, contentType
    case cookie, date, drawbridgeCredential, drawbridgeHotel, drawbridgeIdentity, etag, expect, expires, forwarded, host
    case idempotencyKey, ifMatch, ifModifiedSince, ifNoneMatch, ifRange, ifUnmodifiedSince, keepAlive, lastModified,
        link
    case location, maxForwards, origin, pragma, proxyAuthenticate, proxyAuthentication, proxyAuthorization,
        proxyConnection
    case range, rateLimit, rateLimitPolicy, referer, retryAfter, server, setCookie, te, traceparent, tracestate, trailer
    case transferEncoding, upgrade, userAgent, vary, via, wwwAuthenticate, xAPIKey, xRealIP, xRequestID

    /// The name as it is written on the wire; empty for the three cases that stand for many names.
    public var text: String {
        switch self {
        case .other, .xForwarded, .drawbridge: ""
        case .accept: "Accept"
        case .acceptEncoding: "Accept-Encoding"
        case .acceptLanguage: "Accept-Language"
        case .age: "Age"
        case .allow: "Allow"
        case .authorization: "Authorization"
        case .cacheControl: "Cache-Control"
        case .cacheStatus: "Cache-Status"
        case .connection: "Connection"
        case .contentDigest: "Content-Digest"
        case .contentEncoding: "Content-Encoding"
        case .contentLanguage: "Content-Language"
        case .contentLength: "Content-Length"
        case .contentLocation: "Content-Location"
        case .contentRange: "Content-Range"
        case .contentType: "Content-Type"
        case .cookie: "Cookie"
        case .date: "Date"
        case .drawbridgeCredential: "Drawbridge-Credential"
        case .drawbridgeHotel: "Drawbridge-Hotel"
        case .drawbridgeIdentity: "Drawbridge-Identity"
        case .etag: "ETag"
        case .expect: "Expect"
        case .expires: "Expires"
        case .forwarded: "Forwarded"
        case .host: "Host"
        case .idempotencyKey: "Idempotency-Key"
        case .ifMatch: "If-Match"
        case .ifModifiedSince: "If-Modified-Since"
        case .ifNoneMatch: "If-None-Match"
        case .ifRange: "If-Range"
        case .ifUnmodifiedSince: "If-Unmodified-Since"
        case .keepAlive: "Keep-Alive"
        case .lastModified: "Last-Modified"
        case .link: "Link"
        case .location: "Location"
        case .maxForwards: "Max-Forwards"
        case .origin: "Origin"
        case .pragma: "Pragma"
        case .proxyAuthenticate: "Proxy-Authenticate"
        case .proxyAuthentication: "Proxy-Authentication-Info"
        case .proxyAuthorization: "Proxy-Authorization"
        case .proxyConnection: "Proxy-Connection"
        case .range: "Range"
        case .rateLimit: "RateLimit"
        case .rateLimitPolicy: "RateLimit-Policy"
        case .referer: "Referer"
        case .retryAfter: "Retry-After"
        case .server: "Server"
        case .setCookie: "Set-Cookie"
        case .te: "TE"
        case .traceparent: "traceparent"
        case .tracestate: "tracestate"
        case .trailer: "Trailer"
        case .transferEncoding: "Transfer-Encoding"
        case .upgrade: "Upgrade"
        case .userAgent: "User-Agent"
        case .vary: "Vary"
        case .via: "Via"
        case .wwwAuthenticate: "WWW-Authenticate"
        case .xAPIKey: "X-API-Key"
        case .xRealIP: "X-Real-IP"
        case .xRequestID: "X-Request-Id"
        }
    }

    /// The case for the name in the range, whatever its letter case; nil when it is no token.
    ///
    /// - Parameter table: `FieldNameTable.shared`, for which a loop asks once.
    @inline(__always)
    init?(_ bytes: Span<UInt8>, _ range: Range<Int>, in table: FieldNameTable = .shared) {
        if let name = table.name(bytes, range) {
            self = name
        } else if bytes.isToken(range) {
            self.init(unlisted: bytes, range)
        } else {
            return nil
        }
    }

    private init(unlisted bytes: Span<UInt8>, _ range: Range<Int>) {
        func starts(with prefix: String) -> Bool {
            let length = prefix.utf8.count
            guard range.count > length else { return false }
            return bytes.equals(range.lowerBound..<range.lowerBound + length, ignoringCase: prefix)
        }
        self = starts(with: "x-forwarded-") ? .xForwarded : starts(with: "drawbridge-") ? .drawbridge : .other
    }
}

/// Recognises field names: an open-addressing hash table over length, first and last letter, then a comparison of
/// eight bytes at a time.
struct FieldNameTable: Sendable {
    static let shared = FieldNameTable()

    private struct Slot {
        var name = FieldName.other
        /// Zero in an empty slot.
        var length: UInt8 = 0
        /// Where the name starts in `words`.
        var start: UInt16 = 0
    }

    private var slots = [Slot](repeating: Slot(), count: 256)
    /// All names in lower case, eight bytes to a word.
    private var words: [UInt64] = []

    private init() {
        for name in FieldName.allCases where !name.text.isEmpty {
            let text = name.text.utf8.map(\.lowercased)
            var index = Self.hash(text.count, text[0], text[text.count - 1])
            while slots[index].length != 0 { index = (index + 1) & 255 }
            slots[index] = Slot(name: name, length: UInt8(text.count), start: UInt16(words.count))
            for offset in stride(from: 0, to: text.count, by: 8) {
                words.append(text.span.word(at: offset, count: text.count - offset))
            }
        }
    }

    @inline(__always)
    private static func hash(_ length: Int, _ first: UInt8, _ last: UInt8) -> Int {
        (length &* 13 &+ Int(first | 0x20) &* 7 &+ Int(last | 0x20) &* 31) & 255
    }

    @inline(__always)
    func name(_ bytes: Span<UInt8>, _ range: Range<Int>) -> FieldName? {
        guard !range.isEmpty else { return nil }
        var index = Self.hash(range.count, bytes[range.lowerBound], bytes[range.upperBound &- 1])
        while slots[index].length != 0 {
            let slot = slots[index]
            if Int(slot.length) == range.count, matches(Int(slot.start), bytes, range) { return slot.name }
            index = (index &+ 1) & 255
        }
        return nil
    }

    @inline(__always)
    private func matches(_ start: Int, _ bytes: Span<UInt8>, _ range: Range<Int>) -> Bool {
        var wordIndex = start
        var offset = range.lowerBound
        while offset < range.upperBound {
            let known = words[wordIndex]
            // Bit 6 tells the letters from digits and `-`; only letters have a case, in bit 5.
            let caseBits = (known & 0x4040_4040_4040_4040) &>> 1
            guard bytes.word(at: offset, count: range.upperBound &- offset) | caseBits == known else { return false }
            wordIndex &+= 1
            offset &+= 8
        }
        return true
    }
}

/// A set of field names; membership is one shift.
public struct FieldNameSet: Sendable, ExpressibleByArrayLiteral {
    @usableFromInline var bits: UInt128

    /// No names. Unlike an empty literal it builds no array.
    @inlinable
    public init() { bits = 0 }

    public init(arrayLiteral names: FieldName...) {
        bits = 0
        for name in names { insert(name) }
    }

    public mutating func insert(_ name: FieldName) {
        bits |= 1 << UInt128(name.rawValue)
    }

    @inline(__always)
    public func contains(_ name: FieldName) -> Bool {
        (bits &>> UInt128(name.rawValue)) & 1 == 1
    }

    @inlinable
    public func union(_ other: FieldNameSet) -> FieldNameSet {
        var both = self
        both.bits |= other.bits
        return both
    }

    /// Fields that concern one connection only and are never forwarded (RFC 9110 §7.6.1).
    public static let hopByHop: FieldNameSet = [
        .connection, .keepAlive, .proxyAuthenticate, .proxyAuthentication, .proxyAuthorization, .proxyConnection, .te,
        .trailer, .transferEncoding, .upgrade,
    ]

    /// Fields a trailer section must not hold: framing, routing, request modifiers, authentication, response control
    /// and content format (RFC 9110 §6.5.1), and everything that vouches for someone.
    static let forbiddenInTrailers: FieldNameSet = hopByHop.union([
        .age, .authorization, .cacheControl, .contentEncoding, .contentLength, .contentRange, .contentType, .cookie,
        .date, .drawbridge, .drawbridgeCredential, .drawbridgeHotel, .drawbridgeIdentity, .expect, .expires, .forwarded,
        .host,
        .idempotencyKey, .ifMatch, .ifModifiedSince, .ifNoneMatch, .ifRange, .ifUnmodifiedSince, .location,
        .maxForwards, .origin, .pragma, .range, .retryAfter, .server, .setCookie, .vary, .via, .wwwAuthenticate,
        .xAPIKey, .xForwarded, .xRealIP, .xRequestID,
    ])
}
