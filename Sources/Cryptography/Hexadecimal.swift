/// Base 16 in lower case, two characters for a byte.
public enum Hexadecimal {
    private static let digits = Array("0123456789abcdef".utf8)

    /// The text for some bytes.
    public static func encode(_ bytes: some Collection<UInt8>) -> String {
        String(unsafeUninitializedCapacity: bytes.count * 2) { target in
            var written = 0
            for byte in bytes {
                target[written] = digits[Int(byte >> 4)]
                target[written + 1] = digits[Int(byte & 15)]
                written += 2
            }
            return written
        }
    }

    /// The bytes a text stands for, upper or lower case; `nil` for an odd count or a foreign character.
    public static func decode(_ text: some StringProtocol) -> [UInt8]? {
        var bytes: [UInt8] = []
        var high: UInt8?
        for character in text.utf8 {
            guard let value = value(of: character) else { return nil }
            if let first = high {
                bytes.append(first << 4 | value)
                high = nil
            } else {
                high = value
            }
        }
        return high == nil ? bytes : nil
    }

    private static func value(of character: UInt8) -> UInt8? {
        switch character {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): character - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): character - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): character - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}
