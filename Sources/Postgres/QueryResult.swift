internal import CLibPQ

/// What libpq gives for one command; owns libpq's object.
///
/// Never changed after it was received, and so safe to read anywhere.
final class QueryResult: @unchecked Sendable {
    private let pointer: OpaquePointer

    init(_ pointer: OpaquePointer) { self.pointer = pointer }

    deinit { PQclear(pointer) }

    var status: ExecStatusType { PQresultStatus(pointer) }

    var isError: Bool {
        switch status {
        case PGRES_FATAL_ERROR, PGRES_BAD_RESPONSE, PGRES_NONFATAL_ERROR: true
        default: false
        }
    }

    var isCopy: Bool { [PGRES_COPY_IN, PGRES_COPY_OUT, PGRES_COPY_BOTH].contains(status) }

    var rowCount: Int { Int(PQntuples(pointer)) }

    /// Rows that an INSERT, UPDATE, DELETE, COPY or SELECT touched or returned.
    var affectedRowCount: Int { Int(String(cString: PQcmdTuples(pointer))) ?? 0 }

    /// Such as `COMMIT`.
    var commandTag: String { String(cString: PQcmdStatus(pointer)) }

    var columnTypes: [PostgresType] {
        (0..<PQnfields(pointer)).map { PostgresType(oid: PQftype(pointer, $0)) }
    }

    func name(of column: Int) -> String { PQfname(pointer, CInt(column)).map { String(cString: $0) } ?? "\(column)" }

    func isNull(_ row: Int, _ column: Int) -> Bool { PQgetisnull(pointer, CInt(row), CInt(column)) != 0 }

    func withField<Value>(
        _ row: Int, _ column: Int, _ body: (Span<UInt8>) throws(FieldError) -> Value
    ) throws(FieldError) -> Value {
        let start = UnsafeRawPointer(PQgetvalue(pointer, CInt(row), CInt(column)))
        let bytes = UnsafeBufferPointer(
            start: start?.assumingMemoryBound(to: UInt8.self), count: Int(PQgetlength(pointer, CInt(row), CInt(column)))
        )
        // libpq keeps the bytes as long as the result, which `self` holds for the length of the call.
        return try body(Span(_unsafeElements: bytes))
    }

    var report: ServerReport { ServerReport(pointer) }
}

extension ServerReport {
    init(_ result: OpaquePointer) {
        // The field codes are macros of postgres_ext.h that Swift does not import (character constants).
        func field(_ code: Unicode.Scalar) -> String {
            PQresultErrorField(result, CInt(code.value)).map { String(cString: $0) } ?? ""
        }
        severity = field("V")
        state = field("C")
        text = field("M")
        constraint = field("n")
        column = field("c")
        routine = field("R")
        position = Int(field("P"))
        if text.isEmpty {
            // libpq's own reports have no fields.
            text = ServerReport.firstLine(PQresultErrorMessage(result))
        }
    }

    static func firstLine(_ text: UnsafePointer<CChar>?) -> String {
        let text = text.map { String(cString: $0) } ?? ""
        return text.split(separator: "\n").first.map(String.init) ?? ""
    }
}
