internal import HTTP

/// What a receiver asks for with `Retry-After` (RFC 9110 §10.2.3).
public enum RetryAfter {
    /// How long a receiver wants to be left alone.
    ///
    /// - Parameters:
    ///   - value: the field's value: whole seconds, or a date in any form that HTTP has had.
    ///   - now: Unix seconds.
    ///   - longest: what a longer time is cut to.
    /// - Returns: from zero, which a date in the past is, to `longest`; nil when the value is neither.
    public static func delay(_ value: String, now: Int64, longest: Duration) -> Duration? {
        let value = value.drop { $0 == " " || $0 == "\t" }
        guard let last = value.lastIndex(where: { $0 != " " && $0 != "\t" }) else { return nil }
        let text = value[...last]
        if text.utf8.allSatisfy({ 0x30...0x39 ~= $0 }) {
            // More digits than a number has are longer than anything.
            return Int64(text).map { min(.seconds($0), longest) } ?? longest
        }
        guard let date = HTTPDate.unixSeconds(parsing: String(text), now: now) else { return nil }
        let (seconds, isOver) = date.subtractingReportingOverflow(now)
        guard !isOver else { return date < now ? .zero : longest }
        return min(max(.zero, .seconds(seconds)), longest)
    }
}
