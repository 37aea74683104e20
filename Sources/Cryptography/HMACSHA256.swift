internal import COpenSSL

/// HMAC-SHA256 (RFC 2104) under one key, set up once and used for many messages.
///
/// The value owns its OpenSSL context and cannot be copied; computing a code mutates it, so the compiler proves
/// that one message is finished before the next begins. That exclusiveness is also why it may move between threads.
public struct HMACSHA256: ~Copyable, @unchecked Sendable {
    private let context: OpaquePointer

    nonisolated(unsafe) private static let algorithm = EVP_MAC_fetch(nil, "HMAC", nil)

    /// Sets the key up. RFC 2104 recommends at least 32 bytes; the policies that name key files insist on it.
    public init(key: Span<UInt8>) {
        guard let context = EVP_MAC_CTX_new(Self.algorithm) else { fatalError("out of memory") }
        self.context = context
        let succeeded = Self.withParameters { parameters in
            key.withUnsafeBufferPointer { key in
                // OpenSSL takes a null key for "keep the one you have", so an empty key needs an address, too.
                withUnsafePointer(to: UInt8(0)) { empty in
                    EVP_MAC_init(context, key.baseAddress ?? empty, key.count, parameters)
                }
            }
        }
        precondition(succeeded == 1, "HMAC-SHA256 is not available in the installed OpenSSL")
    }

    deinit { EVP_MAC_CTX_free(context) }

    /// The authentication code of one message.
    public mutating func authenticationCode(for message: Span<UInt8>) -> Digest256 {
        authenticationCode(for: message, Span())
    }

    /// The authentication code of one message in two parts, such as a head and a large body that nobody needs to copy.
    public mutating func authenticationCode(for first: Span<UInt8>, _ second: Span<UInt8>) -> Digest256 {
        // A null key starts the next message from the prepared inner state instead of hashing the key again.
        var succeeded = EVP_MAC_init(context, nil, 0, nil) == 1
        func update(_ bytes: UnsafeBufferPointer<UInt8>) {
            succeeded = succeeded && EVP_MAC_update(context, bytes.baseAddress, bytes.count) == 1
        }
        first.withUnsafeBufferPointer(update)
        second.withUnsafeBufferPointer(update)
        let code = Digest256 { target in
            var count = 0
            let bytes = target.bindMemory(to: UInt8.self)
            succeeded = succeeded && EVP_MAC_final(context, bytes.baseAddress, &count, bytes.count) == 1
        }
        precondition(succeeded, "OpenSSL could not compute an HMAC")
        return code
    }

    /// The authentication code of a string's UTF-8 bytes.
    public mutating func authenticationCode(for message: String) -> Digest256 {
        authenticationCode(for: message.utf8.span)
    }

    /// Lends the parameter that chooses the hash; OpenSSL keeps pointers to both strings while it reads it.
    private static func withParameters<Result>(_ body: (UnsafePointer<OSSL_PARAM>) -> Result) -> Result {
        var digest = Array("SHA256".utf8CString)
        return "digest".withCString { name in
            digest.withUnsafeMutableBufferPointer { digest in
                body([
                    OSSL_PARAM_construct_utf8_string(name, digest.baseAddress, 0), OSSL_PARAM_construct_end(),
                ])
            }
        }
    }
}
