internal import Glibc

/// Finds one byte string in many others (Horspool, "Practical fast searching in strings", 1980): the longer it is, the
/// fewer bytes are looked at.
struct ByteSearch {
    let text: [UInt8]
    /// How far the text can be moved on when its end meets a byte.
    private let skips: [Int]

    init(_ text: [UInt8]) {
        self.text = text
        var skips = [Int](repeating: text.count, count: 256)
        for (index, byte) in text.dropLast().enumerated() { skips[Int(byte)] = text.count - 1 - index }
        self.skips = skips
    }

    /// The offset at which the text is found first.
    func offset(in bytes: UnsafeRawBufferPointer) -> Int? {
        let count = text.count
        guard count > 0, let base = bytes.baseAddress else { return count == 0 ? 0 : nil }
        return skips.withUnsafeBufferPointer { skips in
            let last = text[count - 1]
            var position = 0
            while position <= bytes.count - count {
                let byte = bytes[position + count - 1]
                if byte == last, memcmp(base + position, text, count) == 0 { return position }
                position += skips[Int(byte)]
            }
            return nil
        }
    }
}
