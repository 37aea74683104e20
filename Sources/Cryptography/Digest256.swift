/// 32 bytes that a hash or an authentication code answered with.
///
/// Equality takes the same time whatever the bytes are, so an authentication code may be compared with `==`.
public struct Digest256: Sendable, Hashable {
    /// The number of bytes of every digest.
    public static let byteCount = 32

    private var words: SIMD4<UInt64>

    /// Takes over exactly 32 bytes; `nil` for any other count.
    public init?(_ bytes: Span<UInt8>) {
        guard bytes.count == Self.byteCount else { return nil }
        self.init { target in bytes.withUnsafeBytes { target.copyMemory(from: $0) } }
    }

    /// Fills the 32 bytes in place.
    init(filledBy fill: (UnsafeMutableRawBufferPointer) -> Void) {
        words = .zero
        withUnsafeMutableBytes(of: &words, fill)
    }

    /// The 32 bytes, in order.
    public var bytes: [UInt8] { withUnsafeBytes(of: words) { Array($0) } }

    /// Lends the 32 bytes without copying them.
    public func withBytes<Result>(_ body: (Span<UInt8>) -> Result) -> Result {
        withUnsafeBytes(of: words) { body($0.bindMemory(to: UInt8.self).span) }
    }

    /// Compares all 32 bytes in constant time.
    public static func == (left: Digest256, right: Digest256) -> Bool {
        let difference = left.words ^ right.words
        return (difference[0] | difference[1] | difference[2] | difference[3]) == 0
    }

    /// Eight bytes of a digest are as well spread as all of them.
    public func hash(into hasher: inout Hasher) { hasher.combine(words[0]) }
}

/// Whether two byte strings are equal, in a time that depends on their lengths only.
public func equalInConstantTime(_ left: Span<UInt8>, _ right: Span<UInt8>) -> Bool {
    guard left.count == right.count else { return false }
    var difference: UInt8 = 0
    for index in left.indices { difference |= left[index] ^ right[index] }
    return difference == 0
}
