/// What a head's fields say about framing, connection and host, after every check that is the same for requests and
/// responses. All rules of RFC 9112 §6 that request smuggling plays with are in this file.
struct FramingFields {
    private(set) var contentLength: UInt64?
    private(set) var isChunked = false
    private(set) var closes = false
    private(set) var keepsAlive = false
    private(set) var host: Range<Int>?
    private(set) var expectsContinue = false
    private var connectionOptions = 0
    private var transferCodings = TransferCodings()

    init(
        _ bytes: Span<UInt8>, _ entries: [Fields.Entry], version: Version, limits: MessageLimits
    ) throws(MessageError) {
        var hasTransferEncoding = false
        for entry in entries {
            switch entry.name {
            case .contentLength: try readContentLength(bytes, entry.valueRange)
            case .transferEncoding:
                hasTransferEncoding = true
                try transferCodings.read(bytes, entry.valueRange)
            case .connection: try readConnection(bytes, entry.valueRange, limits)
            case .host:
                guard host == nil else { throw MessageError(.repeatedHost) }
                host = entry.valueRange
            case .expect: try readExpect(bytes, entry.valueRange)
            default: break
            }
        }
        guard hasTransferEncoding else { return }
        // RFC 9112 §6.1 and §6.3 rule 3: both are signs of smuggling, and we never have to guess.
        guard version != .http10 else { throw MessageError(.transferEncodingInHTTP10) }
        guard contentLength == nil else { throw MessageError(.contentLengthWithTransferEncoding) }
        try transferCodings.requireSingleChunked()
        isChunked = true
    }

    /// Whether the sender wants to use the connection again (RFC 9112 §9.3).
    func keepAlive(_ version: Version) -> Bool {
        !closes && (version == .http11 || keepsAlive)
    }

    private mutating func readContentLength(_ bytes: Span<UInt8>, _ value: Range<Int>) throws(MessageError) {
        // RFC 9110 §8.6 would let equal repetitions pass; no honest sender needs that.
        guard contentLength == nil else { throw MessageError(.repeatedContentLength) }
        guard let length = bytes.decimal(value) else { throw MessageError(.invalidContentLength) }
        contentLength = length
    }

    private mutating func readConnection(
        _ bytes: Span<UInt8>, _ value: Range<Int>, _ limits: MessageLimits
    ) throws(MessageError) {
        if bytes.isKeepAlive(value), connectionOptions < limits.connectionOptions {
            connectionOptions += 1
            keepsAlive = true
            return
        }
        var options = ListElements(value)
        while let option = options.next(in: bytes) {
            connectionOptions += 1
            // Options are tokens, as field names are, and often name fields.
            guard connectionOptions <= limits.connectionOptions, let name = FieldName(bytes, option) else {
                throw MessageError(.invalidConnection)
            }
            if name == .keepAlive {
                keepsAlive = true
            } else if name == .other, bytes.equals(option, ignoringCase: "close") {
                closes = true
            }
        }
    }

    private mutating func readExpect(_ bytes: Span<UInt8>, _ value: Range<Int>) throws(MessageError) {
        guard bytes.equals(value, ignoringCase: "100-continue") else { throw MessageError(.unsupportedExpectation) }
        expectsContinue = true
    }
}

/// The transfer codings of a message, over all its `Transfer-Encoding` lines.
private struct TransferCodings {
    private var chunked = 0
    private var others = 0
    private var isChunkedLast = false

    mutating func read(_ bytes: Span<UInt8>, _ value: Range<Int>) throws(MessageError) {
        var codings = ListElements(value)
        while let coding = codings.next(in: bytes) {
            // A coding with parameters is no token: chunked has none (RFC 9112 §7.1), and others we do not take.
            guard bytes.isToken(coding) else { throw MessageError(.invalidTransferEncoding) }
            isChunkedLast = bytes.equals(coding, ignoringCase: "chunked")
            if isChunkedLast { chunked += 1 } else { others += 1 }
        }
    }

    func requireSingleChunked() throws(MessageError) {
        // Chunked twice or not last makes the length unknowable; an unknown coding alone is merely not implemented.
        if chunked > 1 || (chunked == 1 && !isChunkedLast) || chunked + others == 0 {
            throw MessageError(.invalidTransferEncoding)
        }
        guard others == 0 else { throw MessageError(.unknownTransferCoding) }
    }
}
