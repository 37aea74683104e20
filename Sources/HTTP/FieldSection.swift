/// Finds lines in input that arrives piece by piece. No byte is looked at twice, however small the pieces. A line holds
/// no control character but tabs: whatever its grammar, it allows no other, so one scan looks for all of them.
///
/// Positions count from the start of the section, which must stay the start of the input until the section is consumed.
struct LineReader {
    /// Where the next line starts.
    private(set) var lineStart = 0
    /// Up to here there is no control character after `lineStart`.
    private var scanned = 0

    /// Whether nothing has been read.
    var isAtStart: Bool { scanned == 0 }

    /// The next line without its CR LF, or nil when more bytes are needed.
    /// - Parameters:
    ///   - end: where the line must have ended; it is refused with `reason` as soon as it cannot have.
    @inline(__always)
    mutating func next(
        in input: Span<UInt8>, endingBy end: Int, or reason: MessageError.Reason
    ) throws(MessageError) -> Range<Int>? {
        let control = input.firstControl(from: scanned)
        scanned = control ?? input.count
        guard scanned <= end else { throw MessageError(reason) }
        guard let control else { return nil }
        guard input[control] == .carriageReturn else {
            throw MessageError(input[control] == .lineFeed ? .bareLineFeed : .controlCharacter)
        }
        guard control + 1 < input.count else { return nil }
        guard input[control + 1] == .lineFeed else { throw MessageError(.bareCarriageReturn) }
        let line = lineStart..<control
        lineStart = control + 2
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
        let names = FieldNameTable.shared
        // In variables of this function while the loop runs: each change of a property would be written to memory.
        var lines = lines
        var entries: [Fields.Entry] = []
        swap(&entries, &self.entries)
        defer {
            self.lines = lines
            swap(&entries, &self.entries)
        }
        while true {
            let lineEnd = lines.lineStart + limits.fieldLine
            let line = try lines.next(
                in: input, endingBy: min(lineEnd, sectionEnd),
                or: lineEnd < sectionEnd ? .fieldLineTooLong : sectionReason)
            guard let line else { return false }
            if line.isEmpty { return true }
            guard entries.count < limits.fieldCount else { throw MessageError(.tooManyFields) }
            entries.append(try Self.entry(input, line, names))
        }
    }

    /// The fields, on a copy of the section's bytes. Leaves the section ready for the next message.
    mutating func take(arena: [UInt8]) -> Fields {
        defer { self = FieldSection() }
        return Fields(arena: arena, entries: entries)
    }

    /// `field-name ":" OWS field-value OWS` (RFC 9112 §5).
    @inline(__always)
    private static func entry(
        _ input: Span<UInt8>, _ line: Range<Int>, _ names: FieldNameTable
    ) throws(MessageError) -> Fields.Entry {
        guard let colon = input.first(.colon, in: line) else { throw mistake(input, line) }
        let range = line.lowerBound..<colon
        guard range.count <= UInt16.max, let name = FieldName(input, range, in: names) else {
            throw mistake(input, range)
        }
        let afterColon = colon &+ 1..<line.upperBound
        return Fields.Entry(name: name, nameRange: range, valueRange: input.trimmed(afterColon))
    }

    /// What is wrong with a field name, or with a line that has none.
    private static func mistake(_ input: Span<UInt8>, _ range: Range<Int>) -> MessageError {
        guard let first = range.first, let last = range.last else { return MessageError(.invalidFieldName) }
        if input[first].isBlank { return MessageError(.lineFolding) }
        return MessageError(input[last].isBlank ? .spaceBeforeColon : .invalidFieldName)
    }
}
