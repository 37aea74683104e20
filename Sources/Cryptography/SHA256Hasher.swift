internal import COpenSSL

/// SHA-256 for very many short messages, each made of parts: the context is set up once and reused.
///
/// The value owns its OpenSSL context and cannot be copied; hashing mutates it, so the compiler proves that one message
/// is finished before the next begins. That exclusiveness is also why it may move between threads.
public struct SHA256Hasher: ~Copyable, @unchecked Sendable {
    private let context: OpaquePointer

    nonisolated(unsafe) private static let algorithm = EVP_MD_fetch(nil, "SHA256", nil)

    /// Sets the context up.
    public init() {
        guard let context = EVP_MD_CTX_new() else { fatalError("out of memory") }
        self.context = context
        precondition(
            EVP_DigestInit_ex2(context, Self.algorithm, nil) == 1, "SHA-256 is not available in the installed OpenSSL")
    }

    deinit { EVP_MD_CTX_free(context) }

    /// The hash of one byte followed by a message.
    public mutating func hash(prefix: UInt8, _ message: Span<UInt8>) -> Digest256 {
        begin(prefix)
        message.withUnsafeBufferPointer { update($0.baseAddress, $0.count) }
        return finish()
    }

    /// The hash of one byte followed by two digests.
    public mutating func hash(prefix: UInt8, _ left: Digest256, _ right: Digest256) -> Digest256 {
        begin(prefix)
        left.withBytes { $0.withUnsafeBufferPointer { update($0.baseAddress, $0.count) } }
        right.withBytes { $0.withUnsafeBufferPointer { update($0.baseAddress, $0.count) } }
        return finish()
    }

    private func begin(_ prefix: UInt8) {
        // A null algorithm keeps the one of the message before.
        precondition(EVP_DigestInit_ex2(context, nil, nil) == 1, "OpenSSL could not begin a hash")
        withUnsafePointer(to: prefix) { update($0, 1) }
    }

    private func update(_ bytes: UnsafePointer<UInt8>?, _ count: Int) {
        precondition(EVP_DigestUpdate(context, bytes, count) == 1, "OpenSSL could not hash")
    }

    private func finish() -> Digest256 {
        Digest256 { target in
            let bytes = target.bindMemory(to: UInt8.self)
            precondition(EVP_DigestFinal_ex(context, bytes.baseAddress, nil) == 1, "OpenSSL could not finish a hash")
        }
    }
}
