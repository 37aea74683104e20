internal import Telemetry

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
        output.append(hexadecimal: high)
        output.append(hexadecimal: low)
    }

    /// Lends the 32 digits.
    public func withDigits<Result>(_ body: (Span<UInt8>) -> Result) -> Result {
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 32) { buffer in
            var output = OutputSpan(buffer: buffer, initializedCount: 0)
            append(to: &output)
            _ = output.finalize(for: buffer)
            return body(Span(_unsafeElements: UnsafeBufferPointer(buffer)))
        }
    }

    public var description: String {
        String(capacity: 32) { append(to: &$0) }
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
