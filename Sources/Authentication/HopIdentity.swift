public import Cryptography

/// The proof that travels from gateway to bridge with every request: who asks, for exactly this request, just now.
///
/// The header value is `identity.seconds.code`: the identity as base64url JSON, the Unix time it was made, and the
/// base64url HMAC-SHA256 over version, request id, method, raw target, identity and time. One instance per process,
/// on its loop: it keeps the key's prepared state and what it has decoded before.
public final class HopIdentity {
    /// The header's name; the gateway strips it from whatever a client sends.
    public static let fieldName = "Drawbridge-Identity"
    /// How many seconds a header's time may lie before or behind the bridge's clock.
    public static let toleranceInSeconds: Int64 = 30
    /// The number of bytes the key shared by gateway and bridge has.
    public static let keyByteCount = 32

    private static let rememberedIdentities = 1024

    private var authenticator: HopAuthenticator
    private var decoded = BoundedCache<String, Identity>(capacity: rememberedIdentities)

    /// Prepares the key shared by gateway and bridge; refuses one of another length than 32 bytes.
    public init(key: Span<UInt8>) throws(CryptographyError) {
        guard key.count == Self.keyByteCount else { throw CryptographyError("a hop key has 32 bytes") }
        authenticator = HopAuthenticator(key: key)
    }

    /// Appends the header's value for one request, made at `now` (Unix seconds): at most ``byteBound(_:)`` bytes. The target
    /// is the one sent to the bridge, byte by byte.
    public func sign(
        _ identity: Identity, requestID: Span<UInt8>, method: String, target: Span<UInt8>, now: Int64,
        to output: inout OutputSpan<UInt8>
    ) {
        let (encoded, seconds) = (identity.encoded, String(now))
        let code = authenticator.code(
            requestID, method, target, identity: encoded.utf8.span, seconds: seconds.utf8.span, purpose: .client)
        output.append(copying: encoded.utf8.span)
        output.append(UInt8(ascii: "."))
        output.append(copying: seconds.utf8.span)
        output.append(UInt8(ascii: "."))
        code.withBytes { Base64.url.append($0, to: &output) }
    }

    /// The most bytes that the header's value takes for an identity.
    public static func byteBound(_ identity: Identity) -> Int { identity.encoded.utf8.count + 66 }

    /// The identity in a header's value, if the gateway made it for this very request within the last 30 seconds.
    public func verify(
        _ value: Span<UInt8>, requestID: String, method: String, target: Span<UInt8>, now: Int64
    ) throws(AuthenticationError) -> Identity {
        try identity(encoded: try check(value, requestID, method, target, now, .client))
    }

    /// The header's value for a request that the gateway makes of its own accord, in nobody's name.
    ///
    /// Its code is computed for another purpose than a client's, so neither can ever pass for the other: no request
    /// that a client makes through the gateway reaches what only gateways may ask for.
    public func signOwn(requestID: String, method: String, target: String, now: Int64) -> String {
        let seconds = String(now)
        let code = authenticator.code(
            requestID.utf8.span, method, target.utf8.span, identity: Self.gatewayItself.utf8.span,
            seconds: seconds.utf8.span,
            purpose: .own)
        return "\(Self.gatewayItself).\(seconds).\(Base64.url.encode(code))"
    }

    /// Whether a header's value proves that a gateway makes this very request of its own accord, just now.
    public func verifyOwn(
        _ value: Span<UInt8>, requestID: String, method: String, target: Span<UInt8>, now: Int64
    ) throws(AuthenticationError) {
        guard try check(value, requestID, method, target, now, .own) == Self.gatewayItself else {
            throw AuthenticationError(.badHop, "not a gateway's own request")
        }
    }

    private static let gatewayItself = "gateway"

    /// Where identity, seconds and code stand; `nil` unless exactly two dots part them.
    private static func parts(of value: Span<UInt8>) -> (Range<Int>, Range<Int>, Range<Int>)? {
        var dots: [2 of Int] = [0, 0]
        var count = 0
        for index in value.indices where value[index] == UInt8(ascii: ".") {
            guard count < 2 else { return nil }
            dots[count] = index
            count += 1
        }
        guard count == 2 else { return nil }
        return (0..<dots[0], dots[0] + 1..<dots[1], dots[1] + 1..<value.count)
    }

    /// What stands in the identity's place, once the code has proven that a gateway made the header for this request.
    private func check(
        _ value: Span<UInt8>, _ requestID: String, _ method: String, _ target: Span<UInt8>, _ now: Int64,
        _ purpose: HopAuthenticator.Purpose
    ) throws(AuthenticationError) -> String {
        guard let (identity, seconds, code) = Self.parts(of: value),
            let received = Base64.url.decode(value.extracting(code)), let received = Digest256(received.span),
            let madeAt = Int64(String(decoding: value.extracting(seconds)))
        else { throw AuthenticationError(.badHop, "not an identity header") }
        let expected = authenticator.code(
            requestID.utf8.span, method, target, identity: value.extracting(identity),
            seconds: value.extracting(seconds),
            purpose: purpose)
        guard received == expected else {
            throw AuthenticationError(.badHop, "the header's code does not belong to this request")
        }
        guard (now - Self.toleranceInSeconds...now + Self.toleranceInSeconds).contains(madeAt) else {
            throw AuthenticationError(.badHop, "the header is too old, or the clocks differ")
        }
        return String(decoding: value.extracting(identity))
    }

    private func identity(encoded: String) throws(AuthenticationError) -> Identity {
        if let identity = decoded.value(for: encoded) { return identity }
        guard let identity = Identity(encoded: encoded) else {
            throw AuthenticationError(.badHop, "an identity this version does not understand")
        }
        decoded.insert(identity, for: encoded)
        return identity
    }
}

extension HopIdentity {
    /// The header's value for a request whose target is at hand as a string.
    public func sign(_ identity: Identity, requestID: String, method: String, target: String, now: Int64) -> String {
        String(unsafeUninitializedCapacity: Self.byteBound(identity)) { buffer in
            var output = OutputSpan(buffer: buffer, initializedCount: 0)
            sign(
                identity, requestID: requestID.utf8.span, method: method, target: target.utf8.span, now: now,
                to: &output)
            return output.finalize(for: buffer)
        }
    }

    /// The identity in a header's value, both value and target at hand as strings.
    public func verify(
        _ value: String, requestID: String, method: String, target: String, now: Int64
    ) throws(AuthenticationError) -> Identity {
        try verify(value.utf8.span, requestID: requestID, method: method, target: target.utf8.span, now: now)
    }
}

/// Computes the code over everything a header is bound to.
private struct HopAuthenticator: ~Copyable {
    /// What a code is for; it is part of what the code is computed over.
    enum Purpose: String {
        case client = "drawbridge-hop-1"
        case own = "drawbridge-gateway-1"
    }

    private var mac: HMACSHA256
    private var message: [UInt8] = []

    init(key: Span<UInt8>) { mac = HMACSHA256(key: key) }

    /// Every part is preceded by its length, so that no two requests share one message.
    mutating func code(
        _ requestID: Span<UInt8>, _ method: String, _ target: Span<UInt8>, identity: Span<UInt8>, seconds: Span<UInt8>,
        purpose: Purpose
    ) -> Digest256 {
        message.removeAll(keepingCapacity: true)
        append(purpose.rawValue.utf8.span)
        append(requestID)
        append(method.utf8.span)
        append(target)
        append(identity)
        append(seconds)
        // A second reference, not a copy: while `mac` changes, `self` cannot lend its bytes.
        let message = message
        return mac.authenticationCode(for: message.span)
    }

    private mutating func append(_ part: Span<UInt8>) {
        let count = UInt32(part.count)
        for shift: UInt32 in [24, 16, 8, 0] { message.append(UInt8(truncatingIfNeeded: count >> shift)) }
        part.withUnsafeBufferPointer { message.append(contentsOf: $0) }
    }
}

extension OutputSpan<UInt8> {
    fileprivate mutating func append(copying bytes: Span<UInt8>) {
        withUnsafeMutableBufferPointer { memory, count in
            precondition(memory.count - count >= bytes.count, "more is written than was reserved")
            bytes.withUnsafeBufferPointer {
                _ = UnsafeMutableBufferPointer(rebasing: memory[count...]).update(fromContentsOf: $0)
            }
            count += bytes.count
        }
    }
}

extension String {
    /// The text that some UTF-8 bytes spell.
    init(decoding bytes: Span<UInt8>) {
        self = bytes.withUnsafeBufferPointer { String(decoding: $0, as: UTF8.self) }
    }
}
