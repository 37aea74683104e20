/// JSON text in UTF-8, sent as `jsonb` and read from `jsonb` or `json`.
public struct JSON: PostgresCodable, PostgresElement, Hashable {
    public var bytes: [UInt8]

    public init(_ bytes: [UInt8]) { self.bytes = bytes }

    public init(_ text: String) { bytes = Array(text.utf8) }

    public var text: String { String(decoding: bytes, as: UTF8.self) }

    public static var postgresType: PostgresType { .jsonb }

    public static func canDecode(_ type: PostgresType) -> Bool { type == .jsonb || type == .json }

    /// The version of jsonb's binary format, its first byte.
    private static let version: UInt8 = 1

    public func encode(into field: inout FieldWriter) {
        field.write(Self.version)
        field.write(bytes: bytes)
    }

    public init(postgres field: Span<UInt8>, type: PostgresType) throws(FieldError) {
        bytes = field.array
        guard type == .jsonb else { return }
        guard bytes.first == Self.version else { throw FieldError("is of an unknown jsonb version") }
        bytes.removeFirst()
    }
}
