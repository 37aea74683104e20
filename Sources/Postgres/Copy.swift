internal import CLibPQ
public import Loop

/// A COPY into a table, with the types of its columns: `COPY table (a, b) FROM STDIN (FORMAT binary)`.
public struct CopyIn<each Column: PostgresEncodable>: Sendable {
    let name: StaticString
    let sql: StaticString

    /// - Parameter sql: must ask for `FORMAT binary`.
    public init(_ name: StaticString, _ sql: StaticString) {
        self.name = name
        self.sql = sql
    }
}

extension Transaction {
    /// Copies rows into a table.
    ///
    ///     try await transaction.copy(Rooms.copy) { rows in
    ///         for room in rooms { try await rows.write(room.id, room.number) }
    ///     }
    ///
    /// - Parameter body: writes the rows; when it throws nothing is copied and the transaction is lost.
    /// - Returns: the number of rows.
    /// - Throws: `PostgresError`, or what `body` throws.
    @discardableResult
    public borrowing func copy<each Column>(
        _ statement: CopyIn<repeat each Column>, deadline: Duration? = nil,
        _ body: @OnLoop (CopyWriter<repeat each Column>) async throws -> Void
    ) async throws -> Int {
        try await session.copyIn(statement.name, statement.sql, deadline) { stream in
            let writer = CopyWriter<repeat each Column>(stream)
            try await body(writer)
            try await writer.finish()
        }
    }

    /// Copies text or CSV into a table, in pieces of any size.
    ///
    /// - Parameter sql: such as `COPY table (a, b) FROM STDIN (FORMAT csv)`.
    /// - Returns: the number of rows.
    /// - Throws: `PostgresError`, or what `body` throws.
    @discardableResult
    public borrowing func copyText(
        _ name: StaticString, _ sql: StaticString, deadline: Duration? = nil,
        _ body: @OnLoop (CopyStream) async throws -> Void
    ) async throws -> Int {
        try await session.copyIn(name, sql, deadline, body)
    }

    /// Copies out of the database; the server is not asked for more than `body` takes.
    ///
    /// - Parameters:
    ///   - sql: such as `COPY table TO STDOUT (FORMAT csv)`.
    ///   - body: called with each row as the server wrote it.
    /// - Returns: the number of rows.
    /// - Throws: `PostgresError`, or what `body` throws; the transaction is then lost.
    @discardableResult
    public borrowing func copyOut(
        _ name: StaticString, _ sql: StaticString, deadline: Duration? = nil,
        _ body: @OnLoop ([UInt8]) async throws -> Void
    ) async throws -> Int {
        try await session.copyOut(name, sql, deadline, body)
    }
}

/// Where a COPY's bytes go.
@OnLoop
public final class CopyStream {
    /// Bytes that are collected before they go to the socket.
    static let chunk = 32 << 10

    private let connection: Connection

    init(_ connection: Connection) { self.connection = connection }

    /// Sends bytes; returns when the kernel has taken them.
    ///
    /// - Throws: `PostgresError`.
    public func write(_ bytes: [UInt8]) async throws {
        let status = bytes.withUnsafeBytes {
            PQputCopyData(
                connection.pointer, $0.baseAddress?.assumingMemoryBound(to: CChar.self), CInt($0.count))
        }
        guard status == 1 else { throw connection.lost }
        try await connection.drain()
    }

    func end() throws {
        guard PQputCopyEnd(connection.pointer, nil) == 1 else { throw connection.lost }
    }
}

/// Writes a COPY's rows in binary format: a signature, then for each row its number of fields and the fields with their
/// lengths, then -1 (manual, "COPY", "Binary Format").
@OnLoop
public final class CopyWriter<each Column: PostgresEncodable> {
    private let stream: CopyStream
    private var bytes: [UInt8]
    private let columnCount: Int16

    private static var signature: [UInt8] {
        Array("PGCOPY\n".utf8) + [0xff, 0x0d, 0x0a, 0x00] + [0, 0, 0, 0, 0, 0, 0, 0]
    }

    init(_ stream: CopyStream) {
        self.stream = stream
        var count: Int16 = 0
        for _ in repeat (each Column).self { count += 1 }
        columnCount = count
        bytes = Self.signature
    }

    /// Writes one row; waits when the server is slower.
    ///
    /// - Throws: `PostgresError`.
    public func write(_ column: repeat each Column) async throws {
        var writer = FieldWriter(bytes)
        bytes = []
        writer.write(columnCount)
        repeat writer.writeCounted(each column)
        bytes = writer.bytes
        if bytes.count >= CopyStream.chunk { try await flush() }
    }

    func finish() async throws {
        bytes.append(contentsOf: [0xff, 0xff])
        try await flush()
    }

    private func flush() async throws {
        try await stream.write(bytes)
        bytes.removeAll(keepingCapacity: true)
    }
}

extension TransactionSession {
    func copyIn(
        _ name: StaticString, _ sql: StaticString, _ deadline: Duration?,
        _ body: @OnLoop (CopyStream) async throws -> Void
    ) async throws -> Int {
        try await copy(name, sql, deadline, PGRES_COPY_IN) {
            let stream = CopyStream(self.connection)
            try await body(stream)
            try stream.end()
        }
    }

    func copyOut(
        _ name: StaticString, _ sql: StaticString, _ deadline: Duration?,
        _ body: @OnLoop ([UInt8]) async throws -> Void
    ) async throws -> Int {
        try await copy(name, sql, deadline, PGRES_COPY_OUT) {
            while let row = try await self.connection.nextCopiedRow() { try await body(row) }
        }
    }

    private func copy(
        _ name: StaticString, _ sql: StaticString, _ deadline: Duration?, _ kind: ExecStatusType,
        _ transfer: @OnLoop () async throws -> Void
    ) async throws -> Int {
        try await beginIfNeeded()
        let connection = self.connection
        let (report, count) = try await connection.directly(expires: instant(after: deadline)) {
            guard PQsendQuery(connection.pointer, sql.cString) == 1 else { throw connection.lost }
            let first = try await connection.nextResult()
            if let first, first.status == kind {
                try await transfer()
            } else if first?.isError != true {
                throw PostgresError(.misuse, "it is not the COPY that was expected", statement: name.description)
            }
            let (report, count) = try await connection.finishCommand()
            return (first!.isError ? first!.report : report, count)
        }
        guard var error = report?.error else { return count }
        error.statement = name.description
        throw error
    }
}

extension Connection {
    /// The next row of a COPY out; nil at its end.
    fileprivate func nextCopiedRow() async throws -> [UInt8]? {
        while true {
            var buffer: UnsafeMutablePointer<CChar>?
            let count = PQgetCopyData(pointer, &buffer, 1)
            defer { PQfreemem(buffer) }
            switch count {
            case 0: try await waitForActivity()
            case -1: return nil
            case ..<0: throw lost
            default: return Array(UnsafeRawBufferPointer(start: buffer, count: Int(count)))
            }
        }
    }
}
