// Messages as bytes. Framing and connection fields are always written from the head's properties, never copied from
// its fields, so what is announced is what is sent.

extension FieldNameSet {
    /// The fields that are written from a head's properties.
    static let ofFraming: FieldNameSet = [.contentLength, .transferEncoding, .connection]
}

extension RequestHead {
    /// Appends the head in HTTP/1.1 syntax, in origin form, with `Host` first.
    public func append(to bytes: inout [UInt8]) {
        appendRequestLine(version: version, authority: target.authorityBytes, to: &bytes)
        fields.append(except: FieldNameSet.ofFraming.union([.host]), to: &bytes)
        bytes.append(framing)
        bytes.appendConnection(keepAlive: keepAlive, peer: version)
        bytes.appendLineEnd()
    }

    /// Appends the first line and `Host`, which RFC 9110 §7.2 wants first; no `Host` where there is no authority, as
    /// only HTTP/1.0 allows.
    func appendRequestLine(version: Version, authority: ArraySlice<UInt8>, to bytes: inout [UInt8]) {
        bytes.append(method.rawValue)
        bytes.append(.space)
        target.appendOrigin(method: method, to: &bytes)
        bytes.append(version == .http11 ? " HTTP/1.1\r\n" : " HTTP/1.0\r\n")
        guard !authority.isEmpty else { return }
        bytes.append("Host: ")
        bytes.append(contentsOf: authority)
        bytes.appendLineEnd()
    }
}

extension ResponseHead {
    /// Appends the head in HTTP/1.1 syntax.
    /// - Parameters:
    ///   - peer: the version the client speaks, which decides what has to be said about keeping the connection.
    ///   - lines: appends field lines that stand in every response of a server, each with its line end, so that they
    ///     need not be put into `fields` first.
    /// - Precondition: an HTTP/1.0 client is not sent chunks.
    public func append(
        to bytes: inout [UInt8], answering peer: Version = .http11, lines: (inout [UInt8]) -> Void = { _ in }
    ) {
        precondition(peer == .http11 || framing != .chunked, "an HTTP/1.0 client does not know chunks")
        appendStatusLine(to: &bytes)
        // An answer to HEAD, or a 304, tells the length that an answer to GET would have (RFC 9110 §8.6).
        let keepsLength = framing == .none && !status.isInterim && status != .noContent
        fields.append(
            except: keepsLength ? [.transferEncoding, .connection] : FieldNameSet.ofFraming, to: &bytes)
        lines(&bytes)
        if !status.forbidsContent { bytes.append(framing) }
        if !status.isInterim {
            bytes.appendConnection(keepAlive: keepAlive && framing != .untilClose, peer: peer)
        }
        bytes.appendLineEnd()
    }

    func appendStatusLine(to bytes: inout [UInt8]) {
        bytes.append("HTTP/1.1 ")
        bytes.append(decimal: UInt64(status.rawValue))
        bytes.append(.space)
        bytes.append(status.reasonPhrase)
        bytes.appendLineEnd()
    }
}

/// Content in chunks (RFC 9112 §7.1).
public enum Chunk {
    /// Appends the content as one chunk; nothing where there is no content, since an empty chunk is the last one.
    public static func append(_ content: Span<UInt8>, to bytes: inout [UInt8]) {
        guard !content.isEmpty else { return }
        appendStart(size: content.count, to: &bytes)
        bytes.append(content)
        appendEnd(to: &bytes)
    }

    /// Appends the line before a chunk's content, for content that is sent from where it stands.
    /// - Precondition: `size` is more than zero.
    public static func appendStart(size: Int, to bytes: inout [UInt8]) {
        precondition(size > 0, "an empty chunk is the last one")
        bytes.append(hexadecimal: UInt64(size))
        bytes.appendLineEnd()
    }

    /// Appends what follows a chunk's content.
    public static func appendEnd(to bytes: inout [UInt8]) {
        bytes.appendLineEnd()
    }

    /// Appends the last chunk and the trailers, leaving out fields that must not be trailers.
    public static func appendLast(trailers: Fields = Fields(), to bytes: inout [UInt8]) {
        bytes.append("0\r\n")
        trailers.append(except: .forbiddenInTrailers, to: &bytes)
        bytes.appendLineEnd()
    }
}

extension Fields {
    /// Appends every field line whose name is not in the set.
    func append(except dropped: FieldNameSet, to bytes: inout [UInt8]) {
        for entry in entries where !dropped.contains(entry.name) { append(entry, to: &bytes) }
    }

    @inline(__always)
    func append(_ entry: Entry, to bytes: inout [UInt8]) {
        let span = arena.span
        let name = entry.nameRange
        let value = entry.valueRange
        // A parsed line mostly stands in the arena just as it is to be written.
        if value.lowerBound == name.upperBound &+ 2, span[name.upperBound &+ 1] == .space,
            value.upperBound &+ 2 <= span.count, span[value.upperBound] == .carriageReturn,
            span[value.upperBound &+ 1] == .lineFeed
        {
            return bytes.append(span.extracting(name.lowerBound..<value.upperBound &+ 2))
        }
        bytes.append(span.extracting(name))
        bytes.append(.colon)
        bytes.append(.space)
        bytes.append(span.extracting(value))
        bytes.appendLineEnd()
    }
}

extension [UInt8] {
    /// The field that announces content delimited in this way, if there is one.
    mutating func append(_ framing: BodyFraming) {
        switch framing {
        case .none: break
        case .length(let length): appendContentLength(length)
        case .chunked: append("Transfer-Encoding: chunked\r\n")
        }
    }

    /// The field that announces content delimited in this way, if there is one.
    mutating func append(_ framing: ResponseFraming) {
        switch framing {
        case .none, .untilClose: break
        case .length(let length): appendContentLength(length)
        case .chunked: append("Transfer-Encoding: chunked\r\n")
        }
    }

    mutating func appendContentLength(_ length: UInt64) {
        append("Content-Length: ")
        append(decimal: length)
        appendLineEnd()
    }

    /// Says what becomes of the connection, where that is not what the peer's version implies (RFC 9112 §9.3).
    mutating func appendConnection(keepAlive: Bool, peer: Version) {
        if !keepAlive {
            append("Connection: close\r\n")
        } else if peer == .http10 {
            append("Connection: keep-alive\r\n")
        }
    }
}
