internal import Loop
internal import Telemetry

extension Database {
    /// Runs one statement and returns its rows.
    ///
    /// - Parameter deadline: for the whole call; the configuration's `callDeadline` where nil.
    /// - Throws: `PostgresError`.
    public func query<Row>(_ query: Query<Row>, deadline: Duration? = nil) async throws -> [Row] {
        try query.rows(of: try await result(of: query, deadline))
    }

    /// Runs one statement and returns its only row; nil when there is none.
    ///
    /// - Throws: `PostgresError`; `decoding` when there are several rows.
    public func first<Row>(_ query: Query<Row>, deadline: Duration? = nil) async throws -> Row? {
        try query.onlyRow(of: try await result(of: query, deadline))
    }

    /// Runs one statement and returns the number of rows that it changed.
    ///
    /// - Throws: `PostgresError`.
    @discardableResult
    public func execute<Row>(_ query: Query<Row>, deadline: Duration? = nil) async throws -> Int {
        try await result(of: query, deadline).affectedRowCount
    }

    private func result<Row>(of query: Query<Row>, _ deadline: Duration?) async throws -> QueryResult {
        let unit = Unit([.statement(query.text, query.arguments)], expires: instant(after: deadline))
        submit(unit)
        defer { metrics.duration.record(nanoseconds: Loop.monotonicNanoseconds - unit.began) }
        return try await unit.answer()[0]
    }

    func instant(after deadline: Duration?) -> UInt64 {
        Loop.monotonicNanoseconds + (deadline ?? configuration.callDeadline).nanoseconds
    }
}

extension Query {
    func onlyRow(of result: QueryResult) throws -> Row? {
        let rows = try rows(of: result)
        guard rows.count < 2 else {
            throw PostgresError(.decoding, "returned \(rows.count) rows, not one", statement: text.key)
        }
        return rows.first
    }
}
