// Feeds hostile bytes to both parsers. Build with `DRAWBRIDGE_FUZZ=1 swift build -c release --scratch-path .build-fuzz
// --product fuzz-http` and run `ASAN_OPTIONS=symbolize=0 SWIFT_BACKTRACE=enable=no fuzz-http -max_total_time=60` on a
// copy of `Corpus/`; with symbolizing on, a crash can hang. The first byte of an input chooses parser, method and
// limits, the second where to cut the rest.

import HTTP

/// What one run over an input produced.
private struct Log: Equatable {
    var requests: [RequestHead] = []
    var responses: [ResponseHead] = []
    var events: [String] = []
    var body: [UInt8] = []
    var error: MessageError?

    static func == (left: Log, right: Log) -> Bool {
        left.events == right.events && left.body == right.body && left.error == right.error
    }

    /// Feeds each piece and takes events until more bytes are needed. `next` says how much is consumed and whether
    /// there was an event.
    mutating func feed(
        _ pieces: [ArraySlice<UInt8>], _ next: (inout Log, [UInt8]) throws(MessageError) -> (Bool, Int)
    ) {
        var buffer: [UInt8] = []
        do throws(MessageError) {
            for piece in pieces {
                buffer += piece
                var hasEvent = true
                while hasEvent {
                    let (found, consumed) = try next(&self, buffer)
                    precondition(consumed <= buffer.count)
                    buffer.removeFirst(consumed)
                    hasEvent = found
                }
            }
        } catch {
            self.error = error
        }
    }

    mutating func add(_ kind: String, _ fields: Fields) {
        events.append(kind + " after \(body.count)" + describe(fields))
    }
}

private func describe(_ fields: Fields) -> String {
    fields.map { "\n\(Array($0.nameBytes)): \(Array($0.valueBytes))" }.joined()
}

private func readRequests(_ pieces: [ArraySlice<UInt8>], _ limits: MessageLimits) -> Log {
    var log = Log()
    var parser = RequestParser(limits: limits)
    log.feed(pieces) { (log, buffer) throws(MessageError) in
        let step = try parser.next(buffer.span)
        switch step.event {
        case nil: return (false, step.consumed)
        case .head:
            let head = parser.takeHead()
            log.requests.append(head)
            log.add("\(head.method) \(head.framing) \(head.keepAlive) \(head.expectsContinue)", head.fields)
        case .body(let range): log.body += buffer[range]
        case .trailers: log.add("trailers", parser.takeTrailers())
        case .end: log.add("end", Fields())
        }
        return (true, step.consumed)
    }
    return log
}

private func readResponses(_ pieces: [ArraySlice<UInt8>], to method: Method, _ limits: MessageLimits) -> Log {
    var log = Log()
    var parser = ResponseParser(limits: limits)
    parser.expect(responseTo: method)
    log.feed(pieces) { (log, buffer) throws(MessageError) in
        let step = try parser.next(buffer.span)
        switch step.event {
        case nil: return (false, step.consumed)
        case .interim:
            let head = parser.takeHead()
            log.add("interim \(head.status)", head.fields)
        case .head:
            let head = parser.takeHead()
            log.responses.append(head)
            log.add("\(head.status) \(head.framing) \(head.keepAlive)", head.fields)
        case .body(let range): log.body += buffer[range]
        case .trailers: log.add("trailers", parser.takeTrailers())
        case .end:
            log.add("end", Fields())
            parser.expect(responseTo: method)
        }
        return (true, step.consumed)
    }
    return log
}

private func reread(_ bytes: [UInt8]) -> RequestHead {
    var limits = MessageLimits()
    limits.fieldSection = .max / 2
    var parser = RequestParser(limits: limits)
    guard let step = try? parser.next(bytes.span), case .head = step.event else {
        fatalError("a request we wrote is refused")
    }
    precondition(step.consumed == bytes.count, "a head we wrote holds more than a head")
    return parser.takeHead()
}

/// `OPTIONS http://host` is written as `OPTIONS *` (RFC 9112 §3.2.4).
private func isSameTarget(_ written: RequestTarget, _ read: RequestTarget) -> Bool {
    if read.form == .absolute, written.form == .asterisk { return read.path == "/" && read.query == nil }
    return written.path == read.path && written.query == read.query
}

/// A head we accepted must mean the same to the next reader, written by us or forwarded by us.
private func checkWritten(_ head: RequestHead) {
    var bytes: [UInt8] = []
    head.append(to: &bytes)
    let again = reread(bytes)
    precondition(again.method == head.method && again.version == head.version)
    precondition(isSameTarget(again.target, head.target))
    precondition(again.target.authority == head.target.authority)
    precondition(again.framing == head.framing && again.keepAlive == head.keepAlive)

    bytes = []
    Forwarding.appendRequest(
        head, context: ForwardingContext(clientAddress: "2001:db8::1", scheme: .https), to: &bytes)
    let forwarded = reread(bytes)
    precondition(isSameTarget(forwarded.target, head.target))
    precondition(forwarded.keepAlive && !forwarded.expectsContinue)
    precondition(forwarded.framing == head.framing || (forwarded.framing == .length(0) && head.framing == .none))
    precondition(forwarded.fields.count(of: .forwarded) == 1 && forwarded.fields.count(of: .connection) == 0)
    precondition(!forwarded.fields.contains(.drawbridge) && !forwarded.fields.contains(.drawbridgeIdentity))
    precondition(forwarded.fields["X-Forwarded-For"] == "2001:db8::1")
    precondition(forwarded.fields.count(of: "X-Forwarded-For") == 1)
}

private func checkWritten(_ head: ResponseHead, to method: Method) {
    guard let target = RequestTarget("/", authority: "a") else { fatalError("a valid target is refused") }
    var bytes: [UInt8] = []
    let framing = Forwarding.appendResponse(
        head, answering: .http11, keepAlive: true,
        context: ForwardingContext(clientAddress: "192.0.2.1", scheme: .https), to: &bytes)
    var limits = MessageLimits()
    limits.fieldSection = .max / 2
    var parser = ResponseParser(limits: limits)
    parser.expect(responseTo: method)
    guard let step = try? parser.next(bytes.span), case .head = step.event else {
        fatalError("a response we wrote is refused")
    }
    let again = parser.takeHead()
    precondition(step.consumed == bytes.count, "a head we wrote holds more than a head")
    precondition(again.status == head.status && again.framing == framing && again.keepAlive)
}

/// Traps where a promise of the module does not hold.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let input = Array(UnsafeBufferPointer(start: start, count: count))
    guard input.count > 2 else { return 0 }
    let message = input[2...]
    var limits = MessageLimits(body: 1 << 20)
    if input[0] & 2 != 0 {
        limits.startLine = 24
        limits.fieldLine = 24
        limits.fieldSection = 64
        limits.fieldCount = 3
        limits.chunkLine = 12
        limits.chunkExtensions = 16
        limits.trailerSection = 24
        limits.body = 32
    }
    let cut = message.startIndex + Int(input[1]) % (message.count + 1)
    let cuts = [[message], [message[..<cut], message[cut...]], message.indices.map { message[$0...$0] }]
    if input[0] & 1 == 0 {
        let whole = readRequests(cuts[0], limits)
        for pieces in cuts.dropFirst() {
            precondition(readRequests(pieces, limits) == whole, "where the input is cut makes a difference")
        }
        for head in whole.requests { checkWritten(head) }
    } else {
        let method: Method = input[0] & 4 == 0 ? .get : .head
        let whole = readResponses(cuts[0], to: method, limits)
        for pieces in cuts.dropFirst() {
            precondition(
                readResponses(pieces, to: method, limits) == whole, "where the input is cut makes a difference")
        }
        for head in whole.responses { checkWritten(head, to: method) }
    }
    return 0
}

@_silgen_name("LLVMFuzzerRunDriver")
private func runFuzzer(
    _ argumentCount: UnsafeMutablePointer<CInt>, _ arguments: UnsafeMutableRawPointer,
    _ target: @convention(c) (UnsafePointer<UInt8>, Int) -> CInt
) -> CInt

/// SwiftPM links every executable with `main` renamed after its target, which hides libFuzzer's own.
@_cdecl("fuzz_http_main")
public func main(_ argumentCount: CInt, _ arguments: UnsafeMutableRawPointer) -> CInt {
    var argumentCount = argumentCount
    var arguments = arguments
    return runFuzzer(&argumentCount, &arguments) { fuzz($0, $1) }
}
