internal import Cryptography
internal import FoundationEssentials

extension KeyedHash {
    /// Reads the installation's key: at least 32 bytes as base64 text.
    ///
    /// - Throws: when the file cannot be read; `CryptographyError` when it holds something else.
    public static func key(file: String) throws -> [UInt8] {
        let text = try String(contentsOfFile: file, encoding: .utf8)
        guard let key = Base64.standard.decode(text.filter { !$0.isWhitespace }) else {
            throw CryptographyError("\(file) is not base64 text")
        }
        return key
    }
}
