public import FoundationEssentials

extension Bool: PostgresCodable, PostgresElement {
    public static var postgresType: PostgresType { .bool }

    public static func canDecode(_ type: PostgresType) -> Bool { type == .bool }

    public func encode(into field: inout FieldWriter) { field.write(UInt8(self ? 1 : 0)) }

    public init(postgres field: Span<UInt8>, type: PostgresType) throws(FieldError) {
        try field.expect(count: 1)
        self = field[0] != 0
    }
}

extension Int16: PostgresCodable, PostgresElement {
    public static var postgresType: PostgresType { .int2 }

    public static func canDecode(_ type: PostgresType) -> Bool { type == .int2 }

    public func encode(into field: inout FieldWriter) { field.write(self) }

    public init(postgres field: Span<UInt8>, type: PostgresType) throws(FieldError) {
        try field.expect(count: 2)
        self = try field.integer()
    }
}

extension Int32: PostgresCodable, PostgresElement {
    public static var postgresType: PostgresType { .int4 }

    public static func canDecode(_ type: PostgresType) -> Bool { type == .int4 || type == .int2 }

    public func encode(into field: inout FieldWriter) { field.write(self) }

    public init(postgres field: Span<UInt8>, type: PostgresType) throws(FieldError) {
        self = type == .int2 ? Int32(try Int16(postgres: field, type: type)) : try field.whole()
    }
}

extension Int64: PostgresCodable, PostgresElement {
    public static var postgresType: PostgresType { .int8 }

    public static func canDecode(_ type: PostgresType) -> Bool { type == .int8 || Int32.canDecode(type) }

    public func encode(into field: inout FieldWriter) { field.write(self) }

    public init(postgres field: Span<UInt8>, type: PostgresType) throws(FieldError) {
        self = type == .int8 ? try field.whole() : Int64(try Int32(postgres: field, type: type))
    }
}

extension Int: PostgresCodable, PostgresElement {
    public static var postgresType: PostgresType { .int8 }

    public static func canDecode(_ type: PostgresType) -> Bool { Int64.canDecode(type) }

    public func encode(into field: inout FieldWriter) { field.write(Int64(self)) }

    public init(postgres field: Span<UInt8>, type: PostgresType) throws(FieldError) {
        self = Int(try Int64(postgres: field, type: type))
    }
}

extension Double: PostgresCodable, PostgresElement {
    public static var postgresType: PostgresType { .float8 }

    public static func canDecode(_ type: PostgresType) -> Bool { type == .float8 || type == .float4 }

    public func encode(into field: inout FieldWriter) { field.write(bitPattern) }

    public init(postgres field: Span<UInt8>, type: PostgresType) throws(FieldError) {
        self = type == .float4 ? Double(Float(bitPattern: try field.whole())) : Double(bitPattern: try field.whole())
    }
}

extension String: PostgresCodable, PostgresElement {
    public static var postgresType: PostgresType { .text }

    public static func canDecode(_ type: PostgresType) -> Bool {
        [.text, .varchar, .bpchar, .name, .json].contains(type)
    }

    public func encode(into field: inout FieldWriter) { field.write(bytes: utf8) }

    public init(postgres field: Span<UInt8>, type: PostgresType) throws(FieldError) {
        // The session's encoding is UTF-8, which the server guarantees.
        self = field.withUnsafeBufferPointer { String(decoding: $0, as: UTF8.self) }
    }
}

extension UUID: PostgresCodable, PostgresElement {
    public static var postgresType: PostgresType { .uuid }

    public static func canDecode(_ type: PostgresType) -> Bool { type == .uuid }

    public func encode(into field: inout FieldWriter) {
        withUnsafeBytes(of: uuid) { field.write(bytes: $0) }
    }

    public init(postgres field: Span<UInt8>, type: PostgresType) throws(FieldError) {
        try field.expect(count: 16)
        self.init(uuid: field.withUnsafeBytes { $0.loadUnaligned(as: uuid_t.self) })
    }
}

extension Span<UInt8> {
    /// All of it as one integer.
    func whole<Integer: FixedWidthInteger>() throws(FieldError) -> Integer {
        try expect(count: MemoryLayout<Integer>.size)
        return try integer()
    }
}
