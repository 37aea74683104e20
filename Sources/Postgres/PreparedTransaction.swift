/// The name of a transaction that is ready to be committed and waits for the word, on no connection and across restarts of
/// the server: the first half of a commit that takes effect in two databases.
///
/// The server must allow them (`max_prepared_transactions`). See PREPARE TRANSACTION in the manual.
public struct PreparedTransaction: Hashable, Sendable, CustomStringConvertible {
    public let description: String

    /// - Returns: nil for a name that is empty, longer than the server takes, or has anything but letters, digits, `/`, `-`
    ///   and `_`: it becomes part of a statement's text.
    public init?(_ name: String) {
        guard (1..<200).contains(name.utf8.count),
            name.utf8.allSatisfy({ byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "/"), UInt8(ascii: "-"), UInt8(ascii: "_"):
                    true
                default: false
                }
            })
        else { return nil }
        description = name
    }

    enum Command: String {
        case prepare = "PREPARE TRANSACTION"
        case commit = "COMMIT PREPARED"
        case rollback = "ROLLBACK PREPARED"
    }

    func sql(_ command: Command) -> String { "\(command.rawValue) '\(description)'" }
}

extension Transaction {
    /// Runs the last statements and makes the transaction ready to be committed, in one round trip. It keeps its locks until
    /// it is committed or rolled back, by whomever.
    ///
    /// - Throws: `PostgresError`: the transaction is rolled back, unless `leavesDoubt` says that it is unknown whether it waits.
    public consuming func prepare(
        _ queries: [Query<Void>], as name: PreparedTransaction, deadline: Duration? = nil
    ) async throws {
        try await session.end(
            queries.map { .statement($0.text, $0.arguments) }, by: .prepared(.prepare, name),
            tag: PreparedTransaction.Command.prepare.rawValue, deadline)
    }
}

extension Database {
    /// Commits a transaction that waits; does nothing where none of the name does, such as when somebody else ends it.
    ///
    /// - Throws: `PostgresError`.
    public func commit(_ name: PreparedTransaction) async throws { try await end(name, by: .commit) }

    /// Rolls a transaction back that waits, as `commit` commits it.
    ///
    /// - Throws: `PostgresError`.
    public func rollback(_ name: PreparedTransaction) async throws { try await end(name, by: .rollback) }

    private func end(_ name: PreparedTransaction, by command: PreparedTransaction.Command) async throws {
        let unit = Unit([.prepared(command, name)], expires: instant(after: nil))
        submit(unit)
        do { _ = try await unit.answer() } catch let error as PostgresError
            where error.code == .undefinedObject || error.code == .notInPrerequisiteState
        {
            // Somebody else has ended it, or is about to.
        }
    }
}

extension PostgresError.Code {
    /// undefined_object: there is none.
    fileprivate static let undefinedObject = PostgresError.Code.sql(state: "42704")
    /// object_not_in_prerequisite_state: "is busy".
    fileprivate static let notInPrerequisiteState = PostgresError.Code.sql(state: "55000")
}
