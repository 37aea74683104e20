/// What a gateway does to a message between its two connections (RFC 9110 §7.6, RFC 7239): it is written anew, without
/// the fields of the one connection and with ours for the other. Nothing a client says about itself or about us passes.
public enum Forwarding {
    /// Fields a client's request loses besides the hop-by-hop ones, because we write them or vouch for them.
    private static let writtenByUs: FieldNameSet = FieldNameSet.hopByHop.union([
        .contentLength, .drawbridge, .drawbridgeCredential, .drawbridgeHotel, .drawbridgeIdentity, .expect, .forwarded,
        .host, .xForwarded,
        .xRealIP,
    ])

    /// Fields an upstream's answer loses: what concerns its connection to us, what it runs on, what it tells us alone.
    private static let meantForUs: FieldNameSet = FieldNameSet.hopByHop.union([
        .drawbridge, .drawbridgeCredential, .drawbridgeHotel, .drawbridgeIdentity, .server,
    ])

    /// Appends a request as it goes to the upstream: HTTP/1.1, origin form, kept alive.
    /// - Parameters:
    ///   - framing: how the content is delimited from here on; nil for the client's own way.
    ///   - context: who the client is and who we are.
    ///   - dropped: fields that are not taken from the client, because `lines` has them or because the upstream has no use
    ///     for them, such as credentials already checked.
    ///   - moreLines: the most bytes that `lines` appends.
    ///   - lines: appends field lines of our own, each with its line end.
    public static func appendRequest(
        _ head: RequestHead, framing: BodyFraming? = nil, context: ForwardingContext,
        dropping dropped: FieldNameSet = FieldNameSet(), to bytes: inout [UInt8], moreLines: Int = 0,
        lines: (inout OutputSpan<UInt8>) -> Void = { _ in }
    ) {
        let framing = framing ?? head.framing
        let authority = head.target.authorityBytes
        let bound = head.lengthBound + context.lengthBound + 2 * authority.count + moreLines
        bytes.append(addingCapacity: bound) { output in
            head.appendRequestLine(
                version: .http11, authority: authority.isEmpty ? context.defaultAuthority[...] : authority,
                to: &output)
            appendFields(head.fields, except: writtenByUs.union(dropped), to: &output)
            lines(&output)
            context.appendForwarded(authority: authority, to: &output)
            context.appendVia(received: head.version, to: &output)
            if framing == .none, head.method.expectsContent {
                output.appendContentLength(0)
            } else {
                output.append(framing)
            }
            output.appendLineEnd()
        }
    }

    /// Appends a final response as it goes to the client.
    /// - Parameters:
    ///   - peer: the version the client speaks; one of HTTP/1.0 gets no chunks.
    ///   - keepAlive: whether we want to use the client's connection again; it is closed in any case after content
    ///     that only closing ends.
    ///   - replaced: fields that are not taken from the upstream, because `lines` has them.
    ///   - lines: appends field lines of our own, each with its line end; at most 256 bytes.
    /// - Returns: how the content must be delimited on the client's connection. After `untilClose` it must be closed.
    public static func appendResponse(
        _ head: ResponseHead, answering peer: Version, keepAlive: Bool, context: ForwardingContext,
        replacing replaced: FieldNameSet = FieldNameSet(), to bytes: inout [UInt8], moreLines: Int = 0,
        lines: (inout OutputSpan<UInt8>) -> Void = { _ in }
    ) -> ResponseFraming {
        let framing = framing(head.framing, for: peer)
        var dropped = meantForUs.union(replaced)
        // An answer to HEAD, or a 304, tells the length that an answer to GET would have (RFC 9110 §8.6).
        if framing != .none || head.status == .noContent { dropped.insert(.contentLength) }
        bytes.append(addingCapacity: head.lengthBound + context.lengthBound + moreLines) { output in
            head.appendStatusLine(to: &output)
            appendFields(head.fields, except: dropped, to: &output)
            lines(&output)
            context.appendVia(received: head.version, to: &output)
            if !head.status.forbidsContent { output.append(framing) }
            output.appendConnection(keepAlive: keepAlive && framing != .untilClose, peer: peer)
            output.appendLineEnd()
        }
        return framing
    }

    private static func framing(_ framing: ResponseFraming, for client: Version) -> ResponseFraming {
        switch (framing, client) {
        case (.chunked, .http10): .untilClose
        case (.untilClose, .http11): .chunked
        default: framing
        }
    }

    private static func appendFields(
        _ fields: Fields, except dropped: FieldNameSet, to output: inout OutputSpan<UInt8>
    ) {
        var dropped = dropped
        var droppedOthers: [ArraySlice<UInt8>] = []
        for entry in fields.entries where entry.name == .connection {
            dropOptions(fields.arena, entry.valueRange, &dropped, &droppedOthers)
        }
        let span = fields.arena.span
        for entry in fields.entries where !dropped.contains(entry.name) {
            if entry.name == .other, !droppedOthers.isEmpty, contains(droppedOthers, span, entry.nameRange) {
                continue
            }
            Fields.append(entry, of: span, to: &output)
        }
    }

    /// Every field a Connection option names is hop-by-hop (RFC 9110 §7.6.1). Host, framing and our own fields are
    /// written apart from the client's, so that no option can take them away.
    private static func dropOptions(
        _ arena: [UInt8], _ value: Range<Int>, _ dropped: inout FieldNameSet, _ others: inout [ArraySlice<UInt8>]
    ) {
        let bytes = arena.span
        // It is hop-by-hop whether named or not.
        if bytes.isKeepAlive(value) { return }
        var options = ListElements(value)
        while let option = options.next(in: bytes) {
            // The parser let nothing but tokens through.
            switch FieldName(bytes, option) ?? .other {
            case .other: others.append(arena[option])
            case let name: dropped.insert(name)
            }
        }
    }

    private static func contains(_ names: [ArraySlice<UInt8>], _ bytes: Span<UInt8>, _ name: Range<Int>) -> Bool {
        for candidate in names where bytes.equals(name, ignoringCase: candidate.span) { return true }
        return false
    }
}

/// What is the same for all requests of one client connection; made once when it opens.
public final class ForwardingContext: Sendable {
    fileprivate let defaultAuthority: [UInt8]
    /// What is appended, all in one array: handing out one costs less than four.
    private let lines: [UInt8]
    /// `Forwarded` up to its `host` value, without one.
    private let forwarded: Range<Int>
    /// The `X-Forwarded-For` and `X-Forwarded-Proto` lines.
    private let xForwarded: Range<Int>
    /// The `Via` line for each version a message can have been received in.
    private let via: (http10: Range<Int>, http11: Range<Int>)

    /// - Parameters:
    ///   - clientAddress: the address the connection came from, in numbers and without port; anything that is not an
    ///     IPv4 or IPv6 address, such as the name of a unix socket, is told as `unknown` (RFC 7239 §6).
    ///   - scheme: what the client spoke on the connection.
    ///   - pseudonym: what we are called in `Via`, a token.
    ///   - defaultAuthority: the host meant by an HTTP/1.0 request that names none (RFC 9112 §3.3).
    public init(
        clientAddress: String, scheme: Scheme, pseudonym: String = "drawbridge", defaultAuthority: String = "localhost"
    ) {
        precondition(Fields.isValidName(pseudonym), "a pseudonym must be a token")
        let authority = Array(defaultAuthority.utf8)
        precondition(Authority.isValid(authority.span, 0..<authority.count), "the default host must be valid")
        self.defaultAuthority = authority
        // A zone has no meaning on another machine.
        let address = Array(clientAddress.utf8.prefix { $0 != UInt8(ascii: "%") })
        let isIPv6 = Authority.isIPv6(address.span, 0..<address.count)
        let isKnown = isIPv6 || Authority.isIPv4(address.span, 0..<address.count)
        let name = isKnown ? String(decoding: address, as: UTF8.self) : "unknown"
        let node = isIPv6 ? "\"[\(name)]\"" : name
        var lines: [UInt8] = []
        func add(_ text: String) -> Range<Int> {
            let start = lines.count
            lines += text.utf8
            return start..<lines.count
        }
        forwarded = add("Forwarded: for=\(node);proto=\(scheme.rawValue)")
        xForwarded = add("X-Forwarded-For: \(name)\r\nX-Forwarded-Proto: \(scheme.rawValue)\r\n")
        via = (add("Via: 1.0 \(pseudonym)\r\n"), add("Via: 1.1 \(pseudonym)\r\n"))
        self.lines = lines
        // And the names and quotes around authorities, which are constants.
        lengthBound = authority.count + lines.count + 64
    }

    /// The most bytes that its lines take, without authorities.
    let lengthBound: Int

    /// Appends `Forwarded`, `X-Forwarded-For`, `X-Forwarded-Proto` and `X-Forwarded-Host`.
    func appendForwarded(authority: ArraySlice<UInt8>, to output: inout OutputSpan<UInt8>) {
        let lines = lines
        output.append(lines.span.extracting(forwarded))
        if !authority.isEmpty { appendForwardedHost(authority.span, to: &output) }
        output.appendLineEnd()
        output.append(lines.span.extracting(xForwarded))
        if !authority.isEmpty {
            output.append("X-Forwarded-Host: " as StaticString)
            output.append(authority.span)
            output.appendLineEnd()
        }
    }

    /// A host with a port or an IPv6 address is no token and must be quoted (RFC 7239 §4).
    private func appendForwardedHost(_ authority: Span<UInt8>, to output: inout OutputSpan<UInt8>) {
        // The address of an IPv6 host has colons, too.
        let isQuoted = authority.first(.colon, in: 0..<authority.count) != nil
        output.append(isQuoted ? ";host=\"" as StaticString : ";host=")
        output.append(authority)
        if isQuoted { output.append(UInt8(ascii: "\"")) }
    }

    /// Appends a `Via` line after those already there (RFC 9110 §7.6.3).
    func appendVia(received version: Version, to output: inout OutputSpan<UInt8>) {
        let lines = lines
        output.append(lines.span.extracting(version == .http11 ? via.http11 : via.http10))
    }
}
