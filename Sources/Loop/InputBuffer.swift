/// Bytes that have arrived and are not consumed yet, and room behind them for the next: they are received where they
/// will be parsed.
///
/// An empty buffer has no memory. What one gives back another takes, so that idle connections hold none, and those that
/// are busy share a few pieces which the processor has at hand.
@OnLoop
struct InputBuffer: ~Copyable {
    /// What a buffer begins with: most messages fit, and ten thousand clients that send half of one hold 40 MiB.
    private static let firstCapacity = 4 << 10

    /// Memory of the first capacity that no buffer needs now: each piece begins with where the next one is.
    private static var firstSpare: UnsafeMutableRawPointer?
    private static var spareCount = 0
    /// As many as a busy process receives into before the first of them is parsed.
    private static let maximumSpares = 64

    /// Room that receiving finds at least.
    private static let leastRoom = 2 << 10

    private var memory = UnsafeMutableBufferPointer<UInt8>(start: nil, count: 0)
    /// The bytes stand from `start` to `end`, the room from there to the end of the memory.
    private var start = 0
    private var end = 0

    init() {}

    deinit { memory.deallocate() }

    @inline(__always)
    var count: Int { end - start }

    @inline(__always)
    func withBytes<Result, Failure: Error>(_ body: (Span<UInt8>) throws(Failure) -> Result) throws(Failure) -> Result {
        // Returning a span of memory owned in this way is not expressible yet; the span does not outlive the closure.
        try body(Span(_unsafeElements: UnsafeBufferPointer(rebasing: memory[start..<end])))
    }

    /// Drops the first `count` bytes.
    @inline(__always)
    mutating func consume(_ count: Int) {
        precondition(count >= 0 && count <= self.count, "more was consumed than is there")
        start += count
        if start == end { clear() }
    }

    /// Lets `body` write into the room, and return how many bytes it wrote; nil counts as none.
    ///
    /// - Parameter room: bytes there must be room for at least.
    /// - Returns: what `body` returned, and whether there was room for no more.
    @inline(__always)
    mutating func receive<Failure: Error>(
        room: Int = leastRoom, _ body: (UnsafeMutableRawBufferPointer) throws(Failure) -> Int?
    ) throws(Failure) -> (count: Int?, fillsRoom: Bool) {
        if memory.count - end < room { makeRoom(room) }
        let count = try body(UnsafeMutableRawBufferPointer(UnsafeMutableBufferPointer(rebasing: memory[end...])))
        end += count ?? 0
        precondition(end <= memory.count, "more was received than there is room for")
        let fillsRoom = end == memory.count
        if start == end { clear() }
        return (count, fillsRoom)
    }

    /// Adds a copy of `bytes`.
    mutating func append(_ bytes: [UInt8]) {
        _ = receive(room: bytes.count) { room in
            bytes.withUnsafeBytes { room.copyMemory(from: $0) }
            return bytes.count
        }
    }

    /// Gives the memory back.
    private mutating func clear() {
        start = 0
        end = 0
        if memory.count == Self.firstCapacity, Self.spareCount < Self.maximumSpares, let base = memory.baseAddress {
            UnsafeMutableRawPointer(base).storeBytes(of: Self.firstSpare, as: UnsafeMutableRawPointer?.self)
            Self.firstSpare = UnsafeMutableRawPointer(base)
            Self.spareCount += 1
        } else {
            memory.deallocate()
        }
        memory = UnsafeMutableBufferPointer(start: nil, count: 0)
    }

    private mutating func makeRoom(_ room: Int) {
        if memory.count == 0, room <= Self.firstCapacity, let spare = Self.firstSpare {
            Self.firstSpare = spare.load(as: UnsafeMutableRawPointer?.self)
            Self.spareCount -= 1
            memory = UnsafeMutableBufferPointer(
                start: spare.assumingMemoryBound(to: UInt8.self), count: Self.firstCapacity)
            return
        }
        // Each byte is moved at most once for one that was consumed, or for one of a larger memory.
        let hasRoom = memory.count - count >= room && start >= count
        setCapacity(hasRoom ? memory.count : max(count + room, count > 0 ? 2 * memory.count : Self.firstCapacity))
    }

    /// Moves the bytes to the beginning of `capacity` bytes of memory.
    private mutating func setCapacity(_ capacity: Int) {
        let bytes = UnsafeMutableBufferPointer(rebasing: memory[start..<end])
        if capacity == memory.count {
            _ = memory.update(fromContentsOf: bytes)
        } else {
            let larger = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: capacity)
            _ = larger.initialize(from: bytes)
            memory.deallocate()
            memory = larger
        }
        end -= start
        start = 0
    }
}
