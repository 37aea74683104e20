/// A named SQL statement with the types of its parameters and of its rows.
///
/// Each connection prepares it when it first runs there. The text is a constant of the program, so no value can ever
/// become part of it. Calling the statement with parameters gives the `Query` to run:
///
///     static let free = Statement<Room, Int32, Day>(
///         "rooms.free", "SELECT id, number FROM rooms WHERE hotel_id = $1 AND free_on(id, $2)"
///     ) { row in Room(id: try row.next(), number: try row.next()) }
///
///     let rooms = try await database.query(Rooms.free(hotelID, today))
public struct Statement<Row: Sendable, each Parameter: PostgresEncodable>: Sendable {
    let text: StatementText
    let decode: @Sendable (inout RowDecoder) throws -> Row

    /// - Parameters:
    ///   - name: unique in the program, up to 63 bytes.
    ///   - sql: one statement with parameters `$1`, `$2`, …; in parts where it shares some of them with others.
    ///   - decode: reads all columns of a row, in order.
    public init(
        _ name: StaticString, _ sql: StaticString..., decode: @escaping @Sendable (inout RowDecoder) throws -> Row
    ) {
        self.init(name, sql, decode)
    }

    /// A statement that returns no rows.
    public init(_ name: StaticString, _ sql: StaticString...) where Row == Void { self.init(name, sql) { _ in } }

    private init(
        _ name: StaticString, _ sql: [StaticString], _ decode: @escaping @Sendable (inout RowDecoder) throws -> Row
    ) {
        var types: [UInt32] = []
        repeat types.append((each Parameter).postgresType.oid)
        let sql = sql.map(\.description).joined(separator: "\n")
        text = StatementText(name: name, sql: sql, parameterTypes: types)
        self.decode = decode
    }

    /// The statement with its parameters.
    public func callAsFunction(_ parameter: repeat each Parameter) -> Query<Row> {
        var arguments = Arguments()
        repeat arguments.append(each parameter)
        return Query(text: text, arguments: arguments, decode: decode)
    }
}

/// A statement with its parameters, ready to run.
public struct Query<Row: Sendable>: Sendable {
    let text: StatementText
    let arguments: Arguments
    let decode: @Sendable (inout RowDecoder) throws -> Row

    func rows(of result: QueryResult) throws(PostgresError) -> [Row] {
        var rows: [Row] = []
        let count = result.rowCount
        rows.reserveCapacity(count)
        let columns = result.columnTypes
        for index in 0..<count {
            var decoder = RowDecoder(result, columns, text, row: index)
            do {
                rows.append(try decode(&decoder))
            } catch let error as PostgresError {
                throw error
            } catch {
                throw PostgresError(
                    .decoding, "its row cannot be read: \(error)", statement: text.name.description)
            }
            try decoder.finish()
        }
        return rows
    }
}

/// What connections keep of a statement.
final class StatementText: Sendable {
    let name: StaticString
    let key: String
    let sql: String
    let parameterTypes: [UInt32]

    init(name: StaticString, sql: String, parameterTypes: [UInt32]) {
        precondition(name.utf8CodeUnitCount < 64, "the server cuts longer names")
        self.name = name
        key = name.description
        self.sql = sql
        self.parameterTypes = parameterTypes
    }

    func isSame(as other: StatementText) -> Bool {
        self === other || sql == other.sql && parameterTypes == other.parameterTypes
    }
}

/// Parameters in binary format, one after the other.
struct Arguments: Sendable {
    private(set) var bytes: [UInt8] = []
    /// Of each; -1 for null.
    private(set) var lengths: [Int32] = []

    mutating func append(_ value: some PostgresEncodable) {
        let start = bytes.count
        var writer = FieldWriter(bytes)
        bytes = []
        value.encode(into: &writer)
        lengths.append(writer.isNull ? -1 : Int32(writer.bytes.count - start))
        bytes = writer.bytes
    }
}

/// Reads one row's columns, from the first to the last.
public struct RowDecoder: ~Copyable {
    private let result: QueryResult
    private let columns: [PostgresType]
    private let statement: StatementText
    private let row: Int
    private var column = 0

    init(_ result: QueryResult, _ columns: [PostgresType], _ statement: StatementText, row: Int) {
        self.result = result
        self.columns = columns
        self.statement = statement
        self.row = row
    }

    /// Reads the next column.
    ///
    /// - Throws: `PostgresError` `decoding` when it is of another type, null without `Value` being optional, or
    ///   missing.
    public mutating func next<Value: PostgresDecodable>(
        _ type: Value.Type = Value.self
    ) throws(PostgresError) -> Value {
        guard column < columns.count else {
            throw error("has \(columns.count) columns, fewer than are read")
        }
        defer { column += 1 }
        let columnType = columns[column]
        guard Value.canDecode(columnType) else {
            throw error("column \(result.name(of: column)) is \(columnType), which \(Value.self) cannot be read from")
        }
        guard !result.isNull(row, column) else {
            if let null = Value.null { return null }
            throw error("column \(result.name(of: column)) is null")
        }
        do {
            return try result.withField(row, column) { (field) throws(FieldError) in
                try Value(postgres: field, type: columnType)
            }
        } catch let problem {
            throw error("column \(result.name(of: column)) \(problem.reason)")
        }
    }

    func finish() throws(PostgresError) {
        guard column == columns.count else { throw error("has \(columns.count) columns, of which \(column) are read") }
    }

    private func error(_ message: String) -> PostgresError {
        PostgresError(.decoding, message, statement: statement.name.description)
    }
}
