/// What of an answer's head matters, line by line as libcurl gives it: interim answers first, if there are any, and trailers
/// last.
struct AnswerHead {
    /// The status, once the head that it stands in has come whole and is not that of an interim answer.
    private(set) var status: Int?
    /// The value of `Retry-After`.
    private(set) var retryAfter: String?
    /// Of all lines together.
    private(set) var byteCount = 0
    private var lineStatus: Int?

    /// Takes one line with its end.
    mutating func read(_ line: UnsafeRawBufferPointer) {
        byteCount += line.count
        guard status == nil else { return }
        if line.starts(with: "HTTP/".utf8) {
            let code = line.drop { $0 != UInt8(ascii: " ") }.dropFirst().prefix(3)
            lineStatus = Int(String(decoding: code, as: UTF8.self))
            retryAfter = nil
        } else if line.first == UInt8(ascii: "\r") || line.first == UInt8(ascii: "\n") {
            if let lineStatus, lineStatus >= 200 { status = lineStatus }
        } else if line.prefix(Self.pauseName.count).elementsEqual(Self.pauseName, by: { $0 | 0x20 == $1 }) {
            let value = String(decoding: line.dropFirst(Self.pauseName.count), as: UTF8.self)
            retryAfter = String(value.drop { $0.isWhitespace }.reversed().drop { $0.isWhitespace }.reversed())
        }
    }

    /// A colon, too, has the bit that makes letters small.
    private static let pauseName = Array("retry-after:".utf8)
}
