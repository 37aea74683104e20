internal import HTTP

/// Which header fields the rules are shown.
///
/// Credentials, trace ids and idempotency keys differ from request to request, are checked, replaced or compared whole, and
/// make up half the bytes of a head. Where such a value consists of letters, digits, `-`, `_` and `.` alone, no rule
/// could find anything in it but a coincidence; any other value is shown like all the rest.
enum FieldExposure {
    private static let bearer = Array("Bearer ".utf8)
    private static let opaque: FieldNameSet = [.authorization, .xAPIKey, .traceparent, .xRequestID, .idempotencyKey]

    static func isShown(_ field: Field) -> Bool {
        guard opaque.contains(field.name) else { return true }
        let isBearer = field.name == .authorization && field.valueBytes.starts(with: bearer)
        return !field.valueBytes.dropFirst(isBearer ? bearer.count : 0).allSatisfy(isPlain)
    }

    private static func isPlain(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"),
            UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."):
            true
        default: false
        }
    }
}
