import Testing

@testable import HTTP

/// What came out of a parser, as text, in a form that does not depend on how the input was cut: neighbouring body
/// parts are joined.
struct Transcript: Equatable, CustomStringConvertible {
    private(set) var lines: [String] = []
    private(set) var error: MessageError?
    private var body: [UInt8] = []

    var description: String { lines.joined(separator: "\n") }

    /// Feeds pieces to a request parser as a server would.
    static func ofRequests(_ pieces: [[UInt8]], limits: MessageLimits = MessageLimits()) -> Transcript {
        var parser = RequestParser(limits: limits)
        var transcript = Transcript()
        transcript.feed(pieces) { (transcript, buffer) throws(MessageError) in
            let step = try parser.next(buffer.span)
            switch step.event {
            case nil: return (false, step.consumed)
            case .head: transcript.add(describe(parser.takeHead()))
            case .body(let range): transcript.body += buffer[range]
            case .trailers: transcript.add("trailers" + describe(parser.takeTrailers()))
            case .end: transcript.add("end")
            }
            return (true, step.consumed)
        }
        return transcript
    }

    /// Feeds pieces to a response parser as a client would, expecting an answer to each of the methods.
    static func ofResponses(
        _ pieces: [[UInt8]], to methods: [HTTP.Method], limits: MessageLimits = MessageLimits()
    ) -> Transcript {
        var parser = ResponseParser(limits: limits)
        var methods = methods[...]
        var transcript = Transcript()
        if let first = methods.popFirst() { parser.expect(responseTo: first) }
        transcript.feed(pieces) { (transcript, buffer) throws(MessageError) in
            let step = try parser.next(buffer.span)
            switch step.event {
            case nil: return (false, step.consumed)
            case .interim: transcript.add("interim " + describe(parser.takeHead()))
            case .head: transcript.add(describe(parser.takeHead()))
            case .body(let range): transcript.body += buffer[range]
            case .trailers: transcript.add("trailers" + describe(parser.takeTrailers()))
            case .end:
                transcript.add("end")
                if let next = methods.popFirst() { parser.expect(responseTo: next) }
            }
            return (true, step.consumed)
        }
        guard transcript.error == nil else { return transcript }
        do throws(MessageError) {
            if case .end = try parser.endOfInput() { transcript.add("end") }
        } catch {
            transcript.fail(error)
        }
        return transcript
    }

    private mutating func feed(
        _ pieces: [[UInt8]],
        next: (inout Transcript, [UInt8]) throws(MessageError) -> (hasEvent: Bool, consumed: Int)
    ) {
        var buffer: [UInt8] = []
        do throws(MessageError) {
            for piece in pieces {
                buffer += piece
                while true {
                    let (hasEvent, consumed) = try next(&self, buffer)
                    buffer.removeFirst(consumed)
                    if !hasEvent { break }
                }
            }
            flush()
        } catch {
            fail(error)
        }
    }

    private mutating func add(_ line: String) {
        flush()
        lines.append(line)
    }

    private mutating func fail(_ error: MessageError) {
        add("\(error.status.rawValue) \(error.reason)")
        self.error = error
    }

    private mutating func flush() {
        if !body.isEmpty { lines.append("body \(String(decoding: body, as: UTF8.self))") }
        body = []
    }

    private static func describe(_ head: RequestHead) -> String {
        let target = head.target
        return [
            head.method.rawValue, "\(target.form)", target.path, target.query.map { "?" + $0 } ?? "-",
            "@" + target.authority, "\(head.version)", "\(head.framing)", head.keepAlive ? "keep" : "close",
        ].joined(separator: " ") + (head.expectsContinue ? " continue" : "") + describe(head.fields)
    }

    private static func describe(_ head: ResponseHead) -> String {
        "\(head.status.rawValue) \(head.version) \(head.framing) \(head.keepAlive ? "keep" : "close")"
            + describe(head.fields)
    }

    private static func describe(_ fields: Fields) -> String {
        fields.map { " | \($0.nameText)=\($0.value)" }.joined()
    }
}

/// Every way to cut the bytes in two, and one cut between any two bytes.
func cuts(of bytes: [UInt8]) -> [[[UInt8]]] {
    bytes.indices.map { [Array(bytes[..<$0]), Array(bytes[$0...])] } + [bytes.map { [$0] }]
}

/// One row of a table of messages.
struct Sample: Sendable, CustomTestStringConvertible {
    let name: String
    let bytes: [UInt8]
    let expected: [String]

    var testDescription: String { name }

    init(_ name: String, _ text: String, _ expected: String...) {
        self.name = name
        bytes = Array(text.utf8)
        self.expected = expected
    }

    /// For bytes that are no text.
    init(_ name: String, bytes: [UInt8], _ expected: String...) {
        self.name = name
        self.bytes = bytes
        self.expected = expected
    }

    /// A request that is refused at once.
    static func refused(_ name: String, _ text: String, _ status: Int, _ reason: MessageError.Reason) -> Sample {
        Sample(name, text, "\(status) \(reason)")
    }
}
