public import Booking
public import Postgres
public import Stay

// How the domain's values stand in PostgreSQL.

extension Day: PostgresDate {}

extension FixedPoint: PostgresEncodable, PostgresDecodable {
    public static var postgresType: PostgresType { ExactDecimal.postgresType }

    public static func canDecode(_ type: PostgresType) -> Bool { ExactDecimal.canDecode(type) }

    public init(postgres field: Span<UInt8>, type: PostgresType) throws(Postgres.FieldError) {
        guard let value = try ExactDecimal(postgres: field, type: type).units(scale: 4) else {
            throw Postgres.FieldError("has more than four decimals or is too large")
        }
        self.init(tenThousandths: value)
    }

    public func encode(into field: inout FieldWriter) {
        ExactDecimal(unscaled: Int128(tenThousandths), scale: 4).encode(into: &field)
    }
}

extension Instant: PostgresEncodable, PostgresDecodable {
    public static var postgresType: PostgresType { Timestamp.postgresType }

    public static func canDecode(_ type: PostgresType) -> Bool { Timestamp.canDecode(type) }

    public init(postgres field: Span<UInt8>, type: PostgresType) throws(Postgres.FieldError) {
        self.init(microseconds: try Timestamp(postgres: field, type: type).microsecondsSince1970)
    }

    public func encode(into field: inout FieldWriter) {
        Timestamp(microsecondsSince1970: microseconds).encode(into: &field)
    }
}

extension BookingID: PostgresEncodable, PostgresDecodable, PostgresElement {
    public static var postgresType: PostgresType { .uuid }

    public static func canDecode(_ type: PostgresType) -> Bool { type == .uuid }

    public init(postgres field: Span<UInt8>, type: PostgresType) throws(Postgres.FieldError) {
        guard field.count == 16 else { throw Postgres.FieldError("is no UUID") }
        var words: (UInt64, UInt64) = (0, 0)
        for index in 0..<8 {
            words.0 = words.0 << 8 | UInt64(field[index])
            words.1 = words.1 << 8 | UInt64(field[index + 8])
        }
        self.init(high: words.0, low: words.1)
    }

    public func encode(into field: inout FieldWriter) {
        field.write(high)
        field.write(low)
    }
}
