public import Stay

/// Writes JSON straight into bytes: the names and their order are those of the calls.
public struct JSONWriter: Sendable {
    /// What has been written.
    public private(set) var bytes: [UInt8]
    /// Whether the next member or element comes after another one.
    private var needsComma = false

    /// A writer that appends to the bytes.
    public init(appendingTo bytes: [UInt8] = []) {
        self.bytes = bytes
    }

    /// Writes an object as a value.
    public mutating func object(_ body: (inout JSONWriter) -> Void) {
        separate()
        enclose("{", "}", body)
    }

    /// Writes a member that is an object.
    public mutating func object(_ name: StaticString, _ body: (inout JSONWriter) -> Void) {
        begin(name)
        enclose("{", "}", body)
    }

    /// Writes a member that is an array, one element per call of `body`.
    public mutating func array<Element>(
        _ name: StaticString, of elements: some Sequence<Element>, _ body: (inout JSONWriter, Element) -> Void
    ) {
        begin(name)
        enclose("[", "]") { json in
            for element in elements { body(&json, element) }
        }
    }

    /// Writes a member that is a string, or null.
    public mutating func member(_ name: StaticString, _ text: String?) {
        begin(name)
        if let text { string(text) } else { bytes.append(contentsOf: "null".utf8) }
    }

    /// Writes a member that is an integer.
    public mutating func member(_ name: StaticString, _ integer: Int64) {
        begin(name)
        append(integer)
    }

    /// Writes a member that is true or false.
    public mutating func member(_ name: StaticString, _ flag: Bool) {
        begin(name)
        bytes.append(contentsOf: flag ? "true".utf8 : "false".utf8)
    }

    /// Writes a member that is a date.
    public mutating func member(_ name: StaticString, _ day: Day) {
        begin(name)
        bytes.append(UInt8(ascii: "\""))
        day.append(to: &bytes)
        bytes.append(UInt8(ascii: "\""))
    }

    private mutating func separate() {
        if needsComma { bytes.append(UInt8(ascii: ",")) }
        needsComma = true
    }

    /// Names are literals of the program: ASCII, nothing to escape.
    private mutating func begin(_ name: StaticString) {
        separate()
        bytes.append(UInt8(ascii: "\""))
        name.withUTF8Buffer { bytes.append(contentsOf: $0) }
        bytes.append(UInt8(ascii: "\""))
        bytes.append(UInt8(ascii: ":"))
    }

    private mutating func enclose(_ open: Unicode.Scalar, _ close: Unicode.Scalar, _ body: (inout JSONWriter) -> Void) {
        bytes.append(UInt8(ascii: open))
        needsComma = false
        body(&self)
        bytes.append(UInt8(ascii: close))
        needsComma = true
    }

    private mutating func append(_ integer: Int64) {
        if integer < 0 { bytes.append(UInt8(ascii: "-")) }
        let start = bytes.count
        var rest = integer.magnitude
        repeat {
            bytes.append(UInt8(ascii: "0") + UInt8(rest % 10))
            rest /= 10
        } while rest > 0
        bytes[start...].reverse()
    }

    /// Escapes what RFC 8259 §7 demands and nothing else.
    private mutating func string(_ text: String) {
        bytes.append(UInt8(ascii: "\""))
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""): bytes.append(contentsOf: #"\""#.utf8)
            case UInt8(ascii: "\\"): bytes.append(contentsOf: #"\\"#.utf8)
            case UInt8(ascii: "\n"): bytes.append(contentsOf: #"\n"#.utf8)
            case UInt8(ascii: "\r"): bytes.append(contentsOf: #"\r"#.utf8)
            case UInt8(ascii: "\t"): bytes.append(contentsOf: #"\t"#.utf8)
            case 0..<0x20:
                bytes.append(contentsOf: (byte < 0x10 ? #"\u000"# : #"\u00"#).utf8)
                bytes.append(contentsOf: String(byte, radix: 16).utf8)
            default: bytes.append(byte)
            }
        }
        bytes.append(UInt8(ascii: "\""))
    }
}
