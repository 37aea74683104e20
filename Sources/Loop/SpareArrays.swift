/// Arrays of bytes whose memory is used again and again: a message is put together in one, sent, and then the next one
/// is.
@OnLoop
public struct SpareArrays {
    /// Arrays that are kept, and the most that each may hold: what a rare large message needed is given back.
    private static let maximumCount = 64
    private static let maximumCapacity = 16 << 10

    private var arrays: [[UInt8]] = []

    public init() {}

    /// An empty array.
    @inline(__always)
    public mutating func take() -> [UInt8] { arrays.popLast() ?? [] }

    /// Keeps an array for `take`.
    @inline(__always)
    public mutating func giveBack(_ array: consuming [UInt8]) {
        guard 1...Self.maximumCapacity ~= array.capacity, arrays.count < Self.maximumCount else { return }
        array.removeAll(keepingCapacity: true)
        arrays.append(array)
    }
}
