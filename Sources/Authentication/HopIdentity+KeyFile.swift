internal import Cryptography
internal import FoundationEssentials

extension HopIdentity {
    /// Reads the key that gateway and bridge share: 32 bytes as base64 text.
    ///
    /// - Throws: when the file cannot be read; `CryptographyError` when it holds something else.
    public convenience init(keyFile: String) throws {
        let text = try String(contentsOfFile: keyFile, encoding: .utf8)
        guard let key = Base64.standard.decode(text.filter { !$0.isWhitespace }) else {
            throw CryptographyError("\(keyFile) is not base64 text")
        }
        try self.init(key: key.span)
    }
}
