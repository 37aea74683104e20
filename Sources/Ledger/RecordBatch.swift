/// Records that are appended together: JSON objects, checked one by one as they come in.
public struct RecordBatch: Sendable {
    /// The most bytes one record may have.
    public static let recordBound = 64 << 10

    /// The objects, one behind the other.
    private(set) var bytes: [UInt8] = []
    /// Where each one ends.
    private(set) var ends: [Int] = []

    /// An empty batch.
    public init() {}

    /// The number of records.
    public var count: Int { ends.count }
    /// Whether there are none.
    public var isEmpty: Bool { ends.isEmpty }
    /// The bytes of all records.
    public var byteCount: Int { bytes.count }

    /// Adds one record: a JSON object without line breaks or blanks between its parts, in UTF-8.
    ///
    /// Nothing about guests belongs in it: whoever fills it in chooses fields that hold none, or keyed hashes.
    public mutating func add(_ record: Span<UInt8>) throws(LedgerError) {
        guard record.count <= Self.recordBound else {
            throw LedgerError(.invalidRecord, "a record has more than \(Self.recordBound) bytes")
        }
        guard JSONObjectCheck.isObject(record) else {
            throw LedgerError(.invalidRecord, "a record is not one JSON object on one line")
        }
        record.withUnsafeBufferPointer { bytes.append(contentsOf: $0) }
        ends.append(bytes.count)
    }

    /// Empties the batch and keeps its memory.
    public mutating func removeAll() {
        bytes.removeAll(keepingCapacity: true)
        ends.removeAll(keepingCapacity: true)
    }
}
