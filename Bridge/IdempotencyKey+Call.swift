internal import Cryptography
internal import HTTP
internal import Loop
internal import Server

extension Call {
    /// The `Idempotency-Key` with a digest of everything that makes this the same request.
    ///
    /// - Throws: `BridgeError.invalidIdempotencyKey`.
    func idempotencyKey() throws -> IdempotencyKey? {
        let head = request.head
        guard let key = head.fields[.idempotencyKey] else { return nil }
        guard head.fields.count(of: .idempotencyKey) == 1, (1...255).contains(key.utf8.count),
            key.utf8.allSatisfy({ (0x21...0x7e).contains($0) })
        else { throw BridgeError.invalidIdempotencyKey }
        let text = Array("\(head.method.rawValue) ".utf8) + head.target.origin + [0x0A] + content
        return IdempotencyKey(key: key, requestHash: SHA256.hash(text.span).bytes)
    }
}
