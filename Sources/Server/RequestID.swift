/// Names one request in every log line, answer and process it touches.
///
/// 32 hexadecimal digits: 64 random bits drawn when the process starts, then a counter. Unique across processes and
/// restarts, and no work for the random generator on each request.
public struct RequestID: Sendable, Hashable, CustomStringConvertible {
    private let high: UInt64
    private let low: UInt64

    /// Both halves as one number, which is not zero.
    public var number: UInt128 { UInt128(high) << 64 | UInt128(low) }

    private static let process = UInt64.random(in: 1 ... .max)

    init(sequence: UInt64) {
        high = Self.process
        low = sequence
    }

    /// The id that a trusted process in front of this one has chosen, if it has the form of ours.
    public init?(_ text: Span<UInt8>) {
        guard text.count == 32, let high = Self.parse(text, 0..<16), let low = Self.parse(text, 16..<32) else {
            return nil
        }
        self.high = high
        self.low = low
    }

    /// Appends the 32 digits.
    public func append(to output: inout OutputSpan<UInt8>) {
        Self.append(high, to: &output)
        Self.append(low, to: &output)
    }

    @inline(__always)
    private static func append(_ half: UInt64, to output: inout OutputSpan<UInt8>) {
        append(digits(UInt32(truncatingIfNeeded: half &>> 32)), to: &output)
        append(digits(UInt32(truncatingIfNeeded: half)), to: &output)
    }

    @inline(__always)
    private static func append(_ digits: SIMD8<UInt8>, to output: inout OutputSpan<UInt8>) {
        for index in 0..<8 { output.append(digits[index]) }
    }

    /// Eight digits at once, the highest first.
    @inline(__always)
    private static func digits(_ value: UInt32) -> SIMD8<UInt8> {
        let bytes = unsafeBitCast(value.bigEndian, to: SIMD4<UInt8>.self)
        var nibbles = SIMD8<UInt8>()
        nibbles.evenHalf = bytes &>> 4
        nibbles.oddHalf = bytes & 15
        return (nibbles &+ 48).replacing(with: nibbles &+ 87, where: nibbles .> 9)
    }

    public var description: String {
        String(decoding: [UInt8](capacity: 32) { append(to: &$0) }, as: UTF8.self)
    }

    private static func parse(_ text: Span<UInt8>, _ range: Range<Int>) -> UInt64? {
        var value: UInt64 = 0
        for index in range {
            switch text[index] {
            case 48...57: value = value << 4 | UInt64(text[index] - 48)
            case 97...102: value = value << 4 | UInt64(text[index] - 87)
            default: return nil
            }
        }
        return value
    }
}
