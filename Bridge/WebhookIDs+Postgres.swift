internal import Booking
internal import PMS
public import Postgres
public import Webhook

/// As the UUID that it is.
extension EndpointID: PostgresEncodable, PostgresDecodable {
    public static var postgresType: PostgresType { BookingID.postgresType }

    public static func canDecode(_ type: PostgresType) -> Bool { BookingID.canDecode(type) }

    public init(postgres field: Span<UInt8>, type: PostgresType) throws(Postgres.FieldError) {
        self.init(try BookingID(postgres: field, type: type))
    }

    public func encode(into field: inout FieldWriter) { uuid.encode(into: &field) }
}

/// As the UUID that it is.
extension TimeOrderedID: PostgresEncodable, PostgresDecodable, PostgresElement {
    public static var postgresType: PostgresType { BookingID.postgresType }

    public static func canDecode(_ type: PostgresType) -> Bool { BookingID.canDecode(type) }

    public init(postgres field: Span<UInt8>, type: PostgresType) throws(Postgres.FieldError) {
        self.init(try BookingID(postgres: field, type: type))
    }

    public func encode(into field: inout FieldWriter) { uuid.encode(into: &field) }
}
