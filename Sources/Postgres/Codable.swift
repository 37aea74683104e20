/// A value that can be sent as a parameter, in PostgreSQL's binary format.
public protocol PostgresEncodable: Sendable {
    /// What the server is told the parameter is.
    static var postgresType: PostgresType { get }

    func encode(into field: inout FieldWriter)
}

/// A value that can be read from a column, in PostgreSQL's binary format.
public protocol PostgresDecodable: Sendable {
    /// Whether values of the server's `type` can be read as this one without loss.
    static func canDecode(_ type: PostgresType) -> Bool

    /// Reads a value that is not null.
    init(postgres field: Span<UInt8>, type: PostgresType) throws(FieldError)

    /// What null is read as; nil when it must not be null.
    static var null: Self? { get }
}

public typealias PostgresCodable = PostgresEncodable & PostgresDecodable

/// A value of which arrays can be sent and read.
///
/// Conforming is enough for a `PostgresCodable` type whose `postgresType` has a known array type.
public protocol PostgresElement: Sendable {
    static var postgresArrayType: PostgresType { get }
    static func canDecodeArray(_ type: PostgresType) -> Bool
    static func encodeArray(_ array: [Self], into field: inout FieldWriter)
    static func decodeArray(_ field: Span<UInt8>, type: PostgresType) throws(FieldError) -> [Self]
}

/// Why a column's bytes are not the value asked for.
public struct FieldError: Error, Sendable {
    let reason: String

    public init(_ reason: String) { self.reason = reason }
}

/// Collects one parameter's bytes.
public struct FieldWriter: ~Copyable {
    var bytes: [UInt8]
    var isNull = false

    init(_ bytes: consuming [UInt8]) { self.bytes = bytes }

    /// Makes the parameter null.
    public mutating func writeNull() { isNull = true }

    /// Appends an integer, most significant byte first.
    public mutating func write(_ integer: some FixedWidthInteger) {
        withUnsafeBytes(of: integer.bigEndian) { bytes.append(contentsOf: $0) }
    }

    public mutating func write(bytes: some Sequence<UInt8>) { self.bytes.append(contentsOf: bytes) }

    /// Appends the value with its length before it, as in arrays and in COPY; -1 stands for null.
    mutating func writeCounted(_ value: some PostgresEncodable) {
        let start = bytes.count
        write(Int32(0))
        value.encode(into: &self)
        let length = isNull ? -1 : Int32(bytes.count - start - 4)
        isNull = false
        withUnsafeBytes(of: length.bigEndian) { for index in 0..<4 { bytes[start + index] = $0[index] } }
    }
}

extension PostgresDecodable {
    public static var null: Self? { nil }
}

extension Span<UInt8> {
    /// The integer that begins at `offset`, most significant byte first.
    public func integer<Integer: FixedWidthInteger>(
        at offset: Int = 0, as type: Integer.Type = Integer.self
    ) throws(FieldError) -> Integer {
        let size = MemoryLayout<Integer>.size
        guard offset >= 0, offset + size <= count else { throw FieldError("is cut short") }
        var value: Integer = 0
        for index in offset..<(offset + size) { value = value << 8 | Integer(truncatingIfNeeded: self[index]) }
        return value
    }

    /// The bytes as an array.
    public var array: [UInt8] { withUnsafeBufferPointer { Array($0) } }

    func expect(count expected: Int) throws(FieldError) {
        guard count == expected else { throw FieldError("has \(count) bytes where \(expected) are expected") }
    }
}

extension Optional: PostgresEncodable where Wrapped: PostgresEncodable {
    public static var postgresType: PostgresType { Wrapped.postgresType }

    public func encode(into field: inout FieldWriter) {
        if let self { self.encode(into: &field) } else { field.writeNull() }
    }
}

extension Optional: PostgresDecodable where Wrapped: PostgresDecodable {
    public static func canDecode(_ type: PostgresType) -> Bool { Wrapped.canDecode(type) }

    public init(postgres field: Span<UInt8>, type: PostgresType) throws(FieldError) {
        self = .some(try Wrapped(postgres: field, type: type))
    }

    public static var null: Self? { .some(nil) }
}
