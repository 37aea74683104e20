internal import Cryptography

/// What stands in records for a guest's address or a token: the gateway writes `hmac:` and the first half of
/// HMAC-SHA-256 under the installation's audit key, as hexadecimal digits.
struct PersonalHash: ~Copyable {
    private var code: HMACSHA256

    init(key: [UInt8]) { code = HMACSHA256(key: key.span) }

    mutating func text(for value: String) -> String {
        "hmac:" + Hexadecimal.encode(code.authenticationCode(for: value).bytes.prefix(16))
    }

    /// The ways in which a value may have stood where it was hashed: in a path, it is hashed as the client has encoded
    /// it.
    static func spellings(of text: String) -> [(name: String, text: String)] {
        let unreserved = Set("-._~".utf8)
        let alsoInPaths = unreserved.union("!$&'()*+,;=:@".utf8)
        let upper = Array("0123456789ABCDEF".utf8)
        let lower = Array("0123456789abcdef".utf8)
        let spellings: [(name: String, text: String)] = [
            ("as given", text), ("percent-encoded", encode(text, unreserved, upper)),
            ("percent-encoded as in a path", encode(text, alsoInPaths, upper)),
            ("percent-encoded in small letters", encode(text, unreserved, lower)),
            ("percent-encoded as in a path in small letters", encode(text, alsoInPaths, lower)),
        ]
        var seen: Set<String> = []
        return spellings.filter { seen.insert($0.text).inserted }
    }

    private static func encode(_ text: String, _ plain: Set<UInt8>, _ digits: [UInt8]) -> String {
        var encoded: [UInt8] = []
        for byte in text.utf8 {
            let isAlphanumeric = (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte)
            if isAlphanumeric || plain.contains(byte) {
                encoded.append(byte)
            } else {
                encoded += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        return String(decoding: encoded, as: UTF8.self)
    }
}
