/// Writes JSON text straight into bytes, for answers on the hot path. `JSONValue` reads.
public struct JSONWriter: Sendable {
    /// The text so far.
    public private(set) var bytes: [UInt8] = []

    private var needsComma = false

    public init(capacity: Int = 512) { bytes.reserveCapacity(capacity) }

    /// `{…}`: as the whole text, or as an element of an array.
    public mutating func object(_ body: (inout JSONWriter) throws -> Void) rethrows {
        begin("{")
        try body(&self)
        end("}")
    }

    /// `"name":{…}`
    public mutating func object(_ name: StaticString, _ body: (inout JSONWriter) throws -> Void) rethrows {
        key(name)
        try object(body)
    }

    /// `"name":[…]`, `element` writing one value for each.
    public mutating func array<Elements: Sequence>(
        _ name: StaticString, _ elements: Elements, _ element: (inout JSONWriter, Elements.Element) throws -> Void
    ) rethrows {
        key(name)
        begin("[")
        for value in elements { try element(&self, value) }
        end("]")
    }

    @inline(__always)
    public mutating func member(_ name: StaticString, _ value: Int) {
        key(name)
        append(value)
        needsComma = true
    }

    public mutating func member(_ name: StaticString, _ value: Bool) { member(name, raw: value ? "true" : "false") }

    public mutating func member(_ name: StaticString, _ value: String) {
        key(name)
        append(quoted: value)
        needsComma = true
    }

    /// `null` where there is no value.
    public mutating func member(_ name: StaticString, _ value: String?) {
        if let value { member(name, value) } else { member(name, raw: "null") }
    }

    /// `null` where there is no value.
    public mutating func member(_ name: StaticString, _ value: Int?) {
        if let value { member(name, value) } else { member(name, raw: "null") }
    }

    /// A value that is JSON already.
    public mutating func member(_ name: StaticString, raw json: String) {
        key(name)
        bytes.append(contentsOf: json.utf8)
        needsComma = true
    }

    /// A string that `append` writes and that needs no escaping, such as a date.
    @inline(__always)
    public mutating func member(_ name: StaticString, _ append: (inout [UInt8]) -> Void) {
        key(name)
        bytes.append(UInt8(ascii: "\""))
        append(&bytes)
        bytes.append(UInt8(ascii: "\""))
        needsComma = true
    }

    /// A member whose name is known only when it is written.
    public mutating func member(named name: String, _ value: Int) {
        key(quoting: name)
        append(value)
        needsComma = true
    }

    /// A member whose name is known only when it is written.
    public mutating func member(named name: String, _ value: String) {
        key(quoting: name)
        append(quoted: value)
        needsComma = true
    }

    /// An element of an array.
    public mutating func element(_ value: Int) {
        separate()
        append(value)
        needsComma = true
    }

    /// An element of an array.
    public mutating func element(_ value: String) {
        separate()
        append(quoted: value)
        needsComma = true
    }

    @inline(__always)
    private mutating func key(_ name: StaticString) {
        separate()
        bytes.append(UInt8(ascii: "\""))
        name.withUTF8Buffer { bytes.append(contentsOf: $0) }
        bytes.append(UInt8(ascii: "\""))
        bytes.append(UInt8(ascii: ":"))
        needsComma = false
    }

    private mutating func key(quoting name: String) {
        separate()
        append(quoted: name)
        bytes.append(UInt8(ascii: ":"))
        needsComma = false
    }

    private mutating func begin(_ bracket: Unicode.Scalar) {
        separate()
        bytes.append(UInt8(ascii: bracket))
        needsComma = false
    }

    private mutating func end(_ bracket: Unicode.Scalar) {
        bytes.append(UInt8(ascii: bracket))
        needsComma = true
    }

    @inline(__always)
    private mutating func separate() {
        if needsComma { bytes.append(UInt8(ascii: ",")) }
    }

    private mutating func append(_ value: Int) {
        if value < 0 { bytes.append(UInt8(ascii: "-")) }
        var magnitude = value.magnitude
        let start = bytes.count
        repeat {
            bytes.append(48 + UInt8(truncatingIfNeeded: magnitude % 10))
            magnitude /= 10
        } while magnitude > 0
        bytes[start...].reverse()
    }

    /// RFC 8259 §7; bytes above 0x7F are UTF-8 already.
    private mutating func append(quoted value: String) {
        bytes.append(UInt8(ascii: "\""))
        for byte in value.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"):
                bytes.append(UInt8(ascii: "\\"))
                bytes.append(byte)
            case UInt8(ascii: "\n"): bytes.append(contentsOf: "\\n".utf8)
            case UInt8(ascii: "\r"): bytes.append(contentsOf: "\\r".utf8)
            case UInt8(ascii: "\t"): bytes.append(contentsOf: "\\t".utf8)
            case 0..<0x20:
                bytes.append(contentsOf: "\\u00".utf8)
                for digit in [byte >> 4, byte & 15] { bytes.append(digit < 10 ? 48 + digit : 87 + digit) }
            default: bytes.append(byte)
            }
        }
        bytes.append(UInt8(ascii: "\""))
    }
}
