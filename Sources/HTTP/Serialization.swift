// Messages as bytes. Framing and connection fields are always written from the head's properties, never copied from
// its fields, so what is announced is what is sent.

extension FieldNameSet {
    /// The fields that are written from a head's properties.
    static let ofFraming: FieldNameSet = [.contentLength, .transferEncoding, .connection]
}

extension RequestHead {
    /// Appends the head in HTTP/1.1 syntax, in origin form, with `Host` first.
    public func append(to bytes: inout [UInt8]) {
        bytes.append(addingCapacity: lengthBound) { output in
            appendRequestLine(version: version, authority: target.authorityBytes, to: &output)
            fields.append(except: FieldNameSet.ofFraming.union([.host]), to: &output)
            output.append(framing)
            output.appendConnection(keepAlive: keepAlive, peer: version)
            output.appendLineEnd()
        }
    }

    /// The most bytes the head takes: request line and `Host` with what `HeadBound.own` counts, and the fields.
    var lengthBound: Int {
        HeadBound.own + target.bytes.count + target.authorityBytes.count + fields.lengthBound
    }

    /// Appends the first line and `Host`, which RFC 9110 §7.2 wants first; no `Host` where there is no authority, as
    /// only HTTP/1.0 allows.
    func appendRequestLine(version: Version, authority: ArraySlice<UInt8>, to output: inout OutputSpan<UInt8>) {
        output.append(method.rawValue)
        output.append(.space)
        target.appendOrigin(method: method, to: &output)
        output.append(version == .http11 ? " HTTP/1.1\r\n" as StaticString : " HTTP/1.0\r\n")
        guard !authority.isEmpty else { return }
        output.append("Host: " as StaticString)
        output.append(authority.span)
        output.appendLineEnd()
    }
}

extension ResponseHead {
    /// Appends the head in HTTP/1.1 syntax.
    /// - Parameters:
    ///   - peer: the version the client speaks, which decides what has to be said about keeping the connection.
    ///   - lines: appends field lines that stand in every response of a server, each with its line end, so that they
    ///     need not be put into `fields` first; at most 256 bytes.
    ///   - moreLines: bytes that `lines` may append beyond that.
    /// - Precondition: an HTTP/1.0 client is not sent chunks.
    public func append(
        to bytes: inout [UInt8], answering peer: Version = .http11, moreLines: Int = 0,
        lines: (inout OutputSpan<UInt8>) -> Void = { _ in }
    ) {
        precondition(peer == .http11 || framing != .chunked, "an HTTP/1.0 client does not know chunks")
        bytes.append(addingCapacity: lengthBound + moreLines) { output in
            append(to: &output, answering: peer, lines: lines)
        }
    }

    /// The most bytes the head takes.
    var lengthBound: Int { HeadBound.own + HeadBound.lines + fields.lengthBound }

    @inline(__always)
    private func append(
        to output: inout OutputSpan<UInt8>, answering peer: Version, lines: (inout OutputSpan<UInt8>) -> Void
    ) {
        appendStatusLine(to: &output)
        // An answer to HEAD, or a 304, tells the length that an answer to GET would have (RFC 9110 §8.6).
        let keepsLength = framing == .none && !status.isInterim && status != .noContent
        fields.append(
            except: keepsLength ? [.transferEncoding, .connection] : FieldNameSet.ofFraming, to: &output)
        lines(&output)
        if !status.forbidsContent { output.append(framing) }
        if !status.isInterim {
            output.appendConnection(keepAlive: keepAlive && framing != .untilClose, peer: peer)
        }
        output.appendLineEnd()
    }

    @inline(__always)
    func appendStatusLine(to output: inout OutputSpan<UInt8>) {
        if status == .ok { return output.append("HTTP/1.1 200 OK\r\n" as StaticString) }
        output.append("HTTP/1.1 " as StaticString)
        output.append(decimal: UInt64(status.rawValue))
        output.append(.space)
        output.append(status.reasonPhrase)
        output.appendLineEnd()
    }
}

/// Room that is reserved for a head beside what it is made from, in bytes.
enum HeadBound {
    /// What we write of our own accord: the first line but for the target, names and numbers of framing, connection and
    /// host, the empty line.
    static let own = 256
    /// Lines that a server puts into every response.
    static let lines = 256
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
        bytes.append(addingCapacity: 5 + trailers.lengthBound) { output in
            output.append("0\r\n" as StaticString)
            trailers.append(except: .forbiddenInTrailers, to: &output)
            output.appendLineEnd()
        }
    }
}

extension Fields {
    /// The most bytes that the field lines take: a name or value may stand in the arena without what separates it.
    var lengthBound: Int { arena.count + entries.count * 4 }

    /// Appends every field line whose name is not in the set.
    func append(except dropped: FieldNameSet, to output: inout OutputSpan<UInt8>) {
        let span = arena.span
        for entry in entries where !dropped.contains(entry.name) { Self.append(entry, of: span, to: &output) }
    }

    /// Appends one field line; `span` is the arena.
    @inline(__always)
    static func append(_ entry: Entry, of span: Span<UInt8>, to output: inout OutputSpan<UInt8>) {
        let name = entry.nameRange
        let value = entry.valueRange
        // A parsed line mostly stands in the arena just as it is to be written.
        if value.lowerBound == name.upperBound &+ 2, span[name.upperBound &+ 1] == .space,
            value.upperBound &+ 2 <= span.count, span[value.upperBound] == .carriageReturn,
            span[value.upperBound &+ 1] == .lineFeed
        {
            return output.append(span.extracting(name.lowerBound..<value.upperBound &+ 2))
        }
        output.append(span.extracting(name))
        output.append(": " as StaticString)
        output.append(span.extracting(value))
        output.appendLineEnd()
    }
}

extension OutputSpan<UInt8> {
    /// The field that announces content delimited in this way, if there is one.
    mutating func append(_ framing: BodyFraming) {
        switch framing {
        case .none: break
        case .length(let length): appendContentLength(length)
        case .chunked: append("Transfer-Encoding: chunked\r\n" as StaticString)
        }
    }

    /// The field that announces content delimited in this way, if there is one.
    mutating func append(_ framing: ResponseFraming) {
        switch framing {
        case .none, .untilClose: break
        case .length(let length): appendContentLength(length)
        case .chunked: append("Transfer-Encoding: chunked\r\n" as StaticString)
        }
    }

    mutating func appendContentLength(_ length: UInt64) {
        append("Content-Length: " as StaticString)
        append(decimal: length)
        appendLineEnd()
    }

    /// Says what becomes of the connection, where that is not what the peer's version implies (RFC 9112 §9.3).
    mutating func appendConnection(keepAlive: Bool, peer: Version) {
        if !keepAlive {
            append("Connection: close\r\n" as StaticString)
        } else if peer == .http10 {
            append("Connection: keep-alive\r\n" as StaticString)
        }
    }
}
