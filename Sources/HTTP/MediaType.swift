/// Media types as a Content-Type field names them (RFC 9110 §8.3.1).
public enum MediaType {
    /// Whether a field's value is `application/json`, with parameters or without: JSON is UTF-8 whatever they say (RFC
    /// 8259 §11).
    public static func isJSON(_ value: Span<UInt8>) -> Bool {
        let name = "application/json"
        var end = name.utf8.count
        guard value.count >= end, value.equals(0..<end, ignoringCase: name) else { return false }
        while end < value.count, value[end] == UInt8(ascii: " ") || value[end] == UInt8(ascii: "\t") { end += 1 }
        return end == value.count || value[end] == UInt8(ascii: ";")
    }
}
