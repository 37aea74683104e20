/// Statements for one round trip whose number is known only when it is put together; each has a place for its rows.
///
///     var batch = Batch()
///     let rooms = batch.add(Rooms.free(hotel))
///     let rows = try await transaction.run([batch])
///     for room in try rows[0].of(rooms) { … }
public struct Batch: Sendable {
    var commands: [Unit.Command] = []

    /// An empty one.
    public init() {}

    /// Where a statement's rows will be found.
    public struct Place<Row: Sendable>: Sendable {
        let index: Int
        let query: Query<Row>
    }

    /// Adds a statement after the others.
    public mutating func add<Row>(_ query: Query<Row>) -> Place<Row> {
        commands.append(.statement(query.text, query.arguments))
        return Place(index: commands.count - 1, query: query)
    }

    /// The rows of a batch's statements.
    public struct Rows: Sendable {
        let results: [QueryResult]

        /// The rows of one of them.
        ///
        /// - Throws: `PostgresError` `decoding`.
        public func of<Row>(_ place: Place<Row>) throws(PostgresError) -> [Row] {
            try place.query.rows(of: results[place.index])
        }
    }
}

extension Transaction {
    /// Runs the statements of several batches, one after the other, in one round trip.
    ///
    /// - Returns: the rows of each batch.
    /// - Throws: `PostgresError`.
    public borrowing func run(_ batches: [Batch], deadline: Duration? = nil) async throws -> [Batch.Rows] {
        let results = try await session.run(batches.flatMap(\.commands), deadline)
        var start = 0
        return batches.map { batch in
            defer { start += batch.commands.count }
            return Batch.Rows(results: Array(results[start..<start + batch.commands.count]))
        }
    }
}
