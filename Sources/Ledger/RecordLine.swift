/// One line of a segment: `{"seq":17,"record":{…}}`, or `{"seq":17,"ledger":{…}}` for what the ledger says itself.
///
/// The hash in the tree is over the line without its newline. What a worker sends stands inside `record`, checked to be
/// one complete JSON object, so that it can neither end its line nor pass for the ledger's own words.
enum RecordLine {
    private static let start = Array("{\"seq\":".utf8)
    private static let record = Array(",\"record\":".utf8)
    private static let ledger = Array(",\"ledger\":".utf8)

    /// Who speaks in a line.
    enum Speaker {
        case worker
        case ledger
    }

    /// The most bytes that a line takes beside the object in it: the keys, 20 digits, brackets, the newline.
    static let overhead = 40

    /// Appends a line with its newline; `object` is JSON and complete.
    @inline(__always)
    static func append(_ object: Span<UInt8>, sequence: UInt64, speaker: Speaker, to bytes: inout [UInt8]) {
        bytes.append(contentsOf: start)
        append(decimal: sequence, to: &bytes)
        bytes.append(contentsOf: speaker == .worker ? record : ledger)
        object.withUnsafeBufferPointer { bytes.append(contentsOf: $0) }
        bytes.append(UInt8(ascii: "}"))
        bytes.append(UInt8(ascii: "\n"))
    }

    /// What a line (without its newline) says about itself; `nil` if it does not have the form.
    @inline(__always)
    static func parse(_ line: Span<UInt8>) -> (sequence: UInt64, speaker: Speaker, object: Range<Int>)? {
        guard line.count > start.count + record.count, hasPrefix(line, start, at: 0),
            line[line.count - 1] == UInt8(ascii: "}")
        else { return nil }
        var position = start.count
        var sequence: UInt64 = 0
        // 19 digits always fit.
        while position < line.count, position < start.count + 19, case let digit = line[position] &- 48, digit < 10 {
            sequence = sequence * 10 + UInt64(digit)
            position += 1
        }
        guard position > start.count, position == start.count + 1 || line[start.count] != 48 else { return nil }
        let speaker: Speaker
        if hasPrefix(line, record, at: position) {
            speaker = .worker
        } else if hasPrefix(line, ledger, at: position) {
            speaker = .ledger
        } else {
            return nil
        }
        let object = position + record.count..<line.count - 1
        guard object.count >= 2, line[object.lowerBound] == UInt8(ascii: "{"),
            line[object.upperBound - 1] == UInt8(ascii: "}")
        else { return nil }
        return (sequence, speaker, object)
    }

    @inline(__always)
    private static func hasPrefix(_ line: Span<UInt8>, _ prefix: [UInt8], at position: Int) -> Bool {
        guard line.count >= position + prefix.count else { return false }
        for index in prefix.indices where line[position + index] != prefix[index] { return false }
        return true
    }

    @inline(__always)
    private static func append(decimal value: UInt64, to bytes: inout [UInt8]) {
        var value = value
        let first = bytes.count
        repeat {
            bytes.append(48 + UInt8(truncatingIfNeeded: value % 10))
            value /= 10
        } while value > 0
        bytes[first...].reverse()
    }
}
