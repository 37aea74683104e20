/// Finds lines in input that arrives piece by piece. No byte is looked at twice, however small the pieces.
///
/// Positions count from the start of the section, which must stay the start of the input until the section is consumed.
struct LineReader {
    /// Where the next line starts.
    private(set) var lineStart = 0
    /// Up to here there is no line feed after `lineStart`.
    private var scanned = 0

    /// Whether nothing has been read.
    var isAtStart: Bool { scanned == 0 }

    /// The next line without its CR LF, or nil when more bytes are needed.
    /// - Parameters:
    ///   - end: where the line's content must have ended; it is refused with `reason` as soon as it cannot have.
    mutating func next(
        in input: Span<UInt8>, endingBy end: Int, or reason: MessageError.Reason
    ) throws(MessageError) -> Range<Int>? {
        let lineFeed = input.firstLineFeed(from: scanned)
        // The last byte of an unfinished line may be its CR.
        let contentEnd = (lineFeed ?? input.count) - 1
        guard contentEnd <= end else { throw MessageError(reason) }
        guard let lineFeed else {
            scanned = input.count
            return nil
        }
        guard contentEnd >= lineStart, input[contentEnd] == .carriageReturn else { throw MessageError(.bareLineFeed) }
        let line = lineStart..<contentEnd
        lineStart = lineFeed + 1
        scanned = lineStart
        return line
    }
}

/// Reads field lines up to the empty line that closes them: a head after its first line, or a trailer section.
struct FieldSection {
    var lines = LineReader()
    private var start = 0
    private(set) var entries: [Fields.Entry] = []

    /// Most requests have no more; a longer list grows as arrays do.
    private static let usualCount = 16

    /// Marks the end of the first line.
    mutating func begin() {
        start = lines.lineStart
        entries.reserveCapacity(Self.usualCount)
    }

    /// Reads on; true once the empty line has been read.
    mutating func read(
        _ input: Span<UInt8>, limits: MessageLimits, isTrailer: Bool = false
    ) throws(MessageError) -> Bool {
        // The CR LF of the last line counts as part of the section.
        let sectionEnd = start + (isTrailer ? limits.trailerSection : limits.fieldSection) - 2
        let sectionReason: MessageError.Reason = isTrailer ? .trailerSectionTooLarge : .fieldSectionTooLarge
        while true {
            let lineEnd = lines.lineStart + limits.fieldLine
            let line = try lines.next(
                in: input, endingBy: min(lineEnd, sectionEnd),
                or: lineEnd < sectionEnd ? .fieldLineTooLong : sectionReason)
            guard let line else { return false }
            if line.isEmpty { return true }
            guard entries.count < limits.fieldCount else { throw MessageError(.tooManyFields) }
            entries.append(try Self.entry(input, line))
        }
    }

    /// The fields, on a copy of the section's bytes. Leaves the section ready for the next message.
    mutating func take(arena: [UInt8]) -> Fields {
        defer { self = FieldSection() }
        return Fields(arena: arena, entries: entries)
    }

    /// `field-name ":" OWS field-value OWS` (RFC 9112 §5).
    private static func entry(_ input: Span<UInt8>, _ line: Range<Int>) throws(MessageError) -> Fields.Entry {
        let token = ByteSet.token
        var colon = line.lowerBound
        while colon < line.upperBound, token.contains(input[colon]) { colon &+= 1 }
        let name = line.lowerBound..<colon
        guard colon < line.upperBound, input[colon] == .colon, !name.isEmpty, name.count <= UInt16.max else {
            throw MessageError(mistake(in: name, followedBy: colon < line.upperBound ? input[colon] : 0))
        }
        let afterColon = colon &+ 1..<line.upperBound
        guard input.isFieldValue(afterColon) else { throw MessageError(.invalidFieldValue) }
        return Fields.Entry(name: FieldName(input, name), nameRange: name, valueRange: input.trimmed(afterColon))
    }

    private static func mistake(in name: Range<Int>, followedBy byte: UInt8) -> MessageError.Reason {
        guard byte.isBlank else { return .invalidFieldName }
        return name.isEmpty ? .lineFolding : .spaceBeforeColon
    }
}
