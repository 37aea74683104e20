extension Array: PostgresEncodable where Element: PostgresElement {
    public static var postgresType: PostgresType { Element.postgresArrayType }

    public func encode(into field: inout FieldWriter) { Element.encodeArray(self, into: &field) }
}

extension Array: PostgresDecodable where Element: PostgresElement {
    public static func canDecode(_ type: PostgresType) -> Bool { Element.canDecodeArray(type) }

    public init(postgres field: Span<UInt8>, type: PostgresType) throws(FieldError) {
        self = try Element.decodeArray(field, type: type)
    }
}

/// Bytes are the elements of `[UInt8]`, which is sent and read as `bytea`.
extension UInt8: PostgresElement {
    public static var postgresArrayType: PostgresType { .bytea }

    public static func canDecodeArray(_ type: PostgresType) -> Bool { type == .bytea }

    public static func encodeArray(_ array: [UInt8], into field: inout FieldWriter) { field.write(bytes: array) }

    public static func decodeArray(_ field: Span<UInt8>, type: PostgresType) throws(FieldError) -> [UInt8] {
        field.array
    }
}

extension Optional: PostgresElement where Wrapped: PostgresElement & PostgresCodable {
    public static var postgresArrayType: PostgresType { Wrapped.postgresArrayType }

    public static func canDecodeArray(_ type: PostgresType) -> Bool { Wrapped.canDecodeArray(type) }
}

/// The binary format of arrays: number of dimensions, whether there are nulls, element type, for each dimension its
/// length and lower bound, then each element with its length (`array_send` in the server's source).
extension PostgresElement where Self: PostgresCodable {
    public static var postgresArrayType: PostgresType {
        guard let type = postgresType.array else { preconditionFailure("\(postgresType) has no known array type") }
        return type
    }

    public static func canDecodeArray(_ type: PostgresType) -> Bool { type.element.map(canDecode) ?? false }

    public static func encodeArray(_ array: [Self], into field: inout FieldWriter) {
        field.write(Int32(array.isEmpty ? 0 : 1))
        // The server sets the flag for itself.
        field.write(Int32(0))
        field.write(postgresType.oid)
        guard !array.isEmpty else { return }
        field.write(Int32(array.count))
        field.write(Int32(1))
        for element in array { field.writeCounted(element) }
    }

    public static func decodeArray(_ field: Span<UInt8>, type: PostgresType) throws(FieldError) -> [Self] {
        let dimensions: Int32 = try field.integer()
        let elementType = PostgresType(oid: try field.integer(at: 8))
        guard dimensions > 0 else { return [] }
        guard dimensions == 1 else { throw FieldError("is an array of \(dimensions) dimensions") }
        guard canDecode(elementType) else { throw FieldError("is an array of \(elementType)") }
        let count = Int(try field.integer(at: 12, as: Int32.self))
        guard count >= 0, count <= field.count / 4 else { throw FieldError("is an array of impossible length") }
        var array: [Self] = []
        array.reserveCapacity(count)
        var offset = 20
        for _ in 0..<count {
            let length = Int(try field.integer(at: offset, as: Int32.self))
            offset += 4
            if length >= 0 {
                guard offset + length <= field.count else { throw FieldError("is cut short") }
                array.append(try Self(postgres: field.extracting(offset..<(offset + length)), type: elementType))
                offset += length
            } else if let null {
                array.append(null)
            } else {
                throw FieldError("has a null element")
            }
        }
        return array
    }
}
