/// A type of the server, by its object identifier in `pg_type`.
public struct PostgresType: Hashable, Sendable, CustomStringConvertible {
    public let oid: UInt32

    public init(oid: UInt32) { self.oid = oid }

    public static let bool = PostgresType(oid: 16)
    public static let bytea = PostgresType(oid: 17)
    public static let name = PostgresType(oid: 19)
    public static let int8 = PostgresType(oid: 20)
    public static let int2 = PostgresType(oid: 21)
    public static let int4 = PostgresType(oid: 23)
    public static let text = PostgresType(oid: 25)
    public static let json = PostgresType(oid: 114)
    public static let float4 = PostgresType(oid: 700)
    public static let float8 = PostgresType(oid: 701)
    public static let bpchar = PostgresType(oid: 1042)
    public static let varchar = PostgresType(oid: 1043)
    public static let date = PostgresType(oid: 1082)
    public static let time = PostgresType(oid: 1083)
    public static let timestamp = PostgresType(oid: 1114)
    public static let timestamptz = PostgresType(oid: 1184)
    public static let numeric = PostgresType(oid: 1700)
    public static let uuid = PostgresType(oid: 2950)
    public static let jsonb = PostgresType(oid: 3802)

    private static let known: [(type: PostgresType, name: String, array: UInt32)] = [
        (bool, "bool", 1000), (bytea, "bytea", 1001), (name, "name", 1003), (int8, "int8", 1016), (int2, "int2", 1005),
        (int4, "int4", 1007), (text, "text", 1009), (json, "json", 199), (float4, "float4", 1021),
        (float8, "float8", 1022), (bpchar, "bpchar", 1014), (varchar, "varchar", 1015), (date, "date", 1182),
        (time, "time", 1183), (timestamp, "timestamp", 1115), (timestamptz, "timestamptz", 1185),
        (numeric, "numeric", 1231), (uuid, "uuid", 2951), (jsonb, "jsonb", 3807),
    ]

    /// The type of arrays of this type; nil for a type that is not one of the above.
    public var array: PostgresType? { Self.known.first { $0.type == self }.map { PostgresType(oid: $0.array) } }

    /// The type of this array's elements; nil for what is no array of one of the above.
    public var element: PostgresType? { Self.known.first { $0.array == oid }?.type }

    public var description: String {
        if let known = Self.known.first(where: { $0.type == self }) { return known.name }
        if let element { return "\(element)[]" }
        return "type \(oid)"
    }
}
