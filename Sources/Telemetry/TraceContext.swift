/// The trace that a request belongs to, and the span that asks (W3C Trace Context, www.w3.org/TR/trace-context).
public struct TraceContext: Sendable, Equatable {
    /// Names the trace; not zero.
    public let traceID: UInt128
    /// Names the span of whoever sends the request; not zero.
    public let spanID: UInt64
    /// Bit 0: the trace is sampled.
    public let flags: UInt8

    /// - Precondition: neither id is zero.
    public init(traceID: UInt128, spanID: UInt64, flags: UInt8 = 0) {
        precondition(traceID != 0 && spanID != 0, "an id of zero names nothing")
        self.traceID = traceID
        self.spanID = spanID
        self.flags = flags
    }

    /// Reads a `traceparent` field; nil where it is not valid, and so does not count (§3.2.2, §4.3).
    ///
    /// Of a later version than ours the part that it shares with ours is read.
    public init?(_ field: Span<UInt8>) {
        let dash = UInt8(ascii: "-")
        guard field.count >= 55, field[2] == dash, field[35] == dash, field[52] == dash,
            let version = Self.hexadecimal(field, 0..<2), version != 0xff,
            field.count == 55 || (version > 0 && field[55] == dash),
            let high = Self.hexadecimal(field, 3..<19), let low = Self.hexadecimal(field, 19..<35), high | low != 0,
            let span = Self.hexadecimal(field, 36..<52), span != 0, let flags = Self.hexadecimal(field, 53..<55)
        else { return nil }
        traceID = UInt128(high) << 64 | UInt128(low)
        spanID = span
        self.flags = UInt8(flags)
    }

    /// The same trace, asked by another span.
    public func asked(by spanID: UInt64) -> TraceContext {
        // Of the flags only the one we know is passed on (§3.2.2.5).
        TraceContext(traceID: traceID, spanID: spanID, flags: flags & 1)
    }

    /// Appends the trace's id, 32 digits.
    public func appendTraceID(to output: inout OutputSpan<UInt8>) {
        output.append(hexadecimal: UInt64(truncatingIfNeeded: traceID >> 64))
        output.append(hexadecimal: UInt64(truncatingIfNeeded: traceID))
    }

    /// Appends the value of a `traceparent` field: 55 bytes.
    public func append(to output: inout OutputSpan<UInt8>) {
        output.append(0x30)
        output.append(0x30)
        output.append(0x2d)
        appendTraceID(to: &output)
        output.append(0x2d)
        output.append(hexadecimal: spanID)
        output.append(0x2d)
        output.append(Self.digit(flags >> 4))
        output.append(Self.digit(flags & 15))
    }

    private static func digit(_ value: UInt8) -> UInt8 { value < 10 ? 0x30 + value : 0x57 + value }

    /// The number that lower-case digits spell; the specification has no others.
    private static func hexadecimal(_ field: Span<UInt8>, _ range: Range<Int>) -> UInt64? {
        var value: UInt64 = 0
        for index in range {
            switch field[index] {
            case 0x30...0x39: value = value << 4 | UInt64(field[index] - 0x30)
            case 0x61...0x66: value = value << 4 | UInt64(field[index] - 0x57)
            default: return nil
            }
        }
        return value
    }
}
