/// Finds a message's content, chunk by chunk where it is chunked (RFC 9112 §7.1), and its trailers.
struct BodyDecoder {
    enum Event {
        case body(Range<Int>)
        case trailers(Fields)
        case end
    }

    private enum State {
        /// This much content is to come, and then the message ends.
        case content(remaining: UInt64)
        /// Everything up to the end of the input is content.
        case contentUntilClose
        /// A chunk-size line is to come.
        case chunkSize
        /// This much of a chunk is to come, and then its CR LF.
        case chunk(remaining: UInt64)
        /// The lines after the last chunk are to come.
        case trailers
        /// Nothing is to come but the end.
        case finished
    }

    private var state: State
    private var lines = LineReader()
    private var section = FieldSection()
    /// What the chunks so far add up to.
    private var chunkedLength: UInt64 = 0
    private var extensionsLength = 0

    init(_ framing: ResponseFraming) {
        state =
            switch framing {
            case .none: .finished
            case .length(let length): .content(remaining: length)
            case .chunked: .chunkSize
            case .untilClose: .contentUntilClose
            }
    }

    /// Whether nothing is to come but the end.
    var isFinished: Bool {
        switch state {
        case .finished, .content(remaining: 0): true
        default: false
        }
    }

    /// Whether the end of the input is the end of the content.
    var endsAtClose: Bool {
        if case .contentUntilClose = state { true } else { false }
    }

    /// The next event at or after `position`, which moves past everything that is done with; nil: more bytes needed.
    mutating func next(
        _ input: Span<UInt8>, at position: inout Int, limits: MessageLimits
    ) throws(MessageError) -> Event? {
        while true {
            switch state {
            case .finished:
                return .end
            case .content(let remaining):
                guard remaining > 0 else { return .end }
                guard let part = take(upTo: remaining, input, &position) else { return nil }
                state = .content(remaining: remaining - UInt64(part.count))
                return .body(part)
            case .contentUntilClose:
                return take(upTo: .max, input, &position).map(Event.body)
            case .chunkSize:
                guard try readChunkSize(input, &position, limits) else { return nil }
            case .chunk(let remaining) where remaining > 0:
                guard let part = take(upTo: remaining, input, &position) else { return nil }
                state = .chunk(remaining: remaining - UInt64(part.count))
                return .body(part)
            case .chunk:
                guard try readChunkEnd(input, &position) else { return nil }
            case .trailers:
                guard let trailers = try readTrailers(input, &position, limits) else { return nil }
                state = .finished
                if !trailers.isEmpty { return .trailers(trailers) }
            }
        }
    }

    private func take(upTo limit: UInt64, _ input: Span<UInt8>, _ position: inout Int) -> Range<Int>? {
        let available = input.count - position
        guard available > 0 else { return nil }
        let start = position
        position += Int(min(limit, UInt64(available)))
        return start..<position
    }

    /// Reads `chunk-size [ chunk-ext ] CRLF`; false when it is not all there.
    private mutating func readChunkSize(
        _ input: Span<UInt8>, _ position: inout Int, _ limits: MessageLimits
    ) throws(MessageError) -> Bool {
        let rest = input.extracting(position..<input.count)
        guard let line = try lines.next(in: rest, endingBy: limits.chunkLine, or: .chunkLineTooLong) else {
            return false
        }
        let (size, digitsEnd) = try Self.chunkSize(rest, line)
        try readExtensions(rest, digitsEnd..<line.upperBound, limits)
        let (length, overflow) = chunkedLength.addingReportingOverflow(size)
        guard !overflow, length <= limits.body ?? .max else { throw MessageError(.bodyTooLarge) }
        chunkedLength = length
        state = size == 0 ? .trailers : .chunk(remaining: size)
        position += lines.lineStart
        lines = LineReader()
        return true
    }

    private static func chunkSize(
        _ bytes: Span<UInt8>, _ line: Range<Int>
    ) throws(MessageError) -> (size: UInt64, end: Int) {
        var size: UInt64 = 0
        var index = line.lowerBound
        while index < line.upperBound, let digit = bytes[index].hexValue {
            guard size >> 60 == 0 else { throw MessageError(.invalidChunkSize) }
            size = size << 4 | UInt64(digit)
            index += 1
        }
        guard index > line.lowerBound else { throw MessageError(.invalidChunkSize) }
        return (size, index)
    }

    /// Extensions are checked and forgotten; their total is bounded (RFC 9112 §7.1.1).
    private mutating func readExtensions(
        _ bytes: Span<UInt8>, _ range: Range<Int>, _ limits: MessageLimits
    ) throws(MessageError) {
        guard !range.isEmpty else { return }
        let trimmed = bytes.trimmed(range)
        guard !trimmed.isEmpty, bytes[trimmed.lowerBound] == UInt8(ascii: ";") else {
            throw MessageError(.invalidChunkSize)
        }
        extensionsLength += range.count
        guard extensionsLength <= limits.chunkExtensions else { throw MessageError(.chunkExtensionsTooLarge) }
    }

    /// Reads the CR LF after a chunk; false when it is not all there.
    private mutating func readChunkEnd(
        _ input: Span<UInt8>, _ position: inout Int
    ) throws(MessageError) -> Bool {
        guard position < input.count else { return false }
        guard input[position] == .carriageReturn else { throw MessageError(.missingChunkEnd) }
        guard position + 1 < input.count else { return false }
        guard input[position + 1] == .lineFeed else { throw MessageError(.missingChunkEnd) }
        position += 2
        state = .chunkSize
        return true
    }

    private mutating func readTrailers(
        _ input: Span<UInt8>, _ position: inout Int, _ limits: MessageLimits
    ) throws(MessageError) -> Fields? {
        let rest = input.extracting(position..<input.count)
        guard try section.read(rest, limits: limits, isTrailer: true) else { return nil }
        let forbidden = FieldNameSet.forbiddenInTrailers
        for entry in section.entries where forbidden.contains(entry.name) { throw MessageError(.forbiddenTrailer) }
        let length = section.lines.lineStart
        position += length
        return section.take(arena: section.entries.isEmpty ? [] : rest.copy(0..<length))
    }
}
