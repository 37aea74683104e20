internal import Postgres

extension RhtHotel {
    /// A user of the PMS, as far as it is anybody's business.
    public struct User: Sendable, Equatable {
        /// Its number.
        public let id: Int32
        /// Its name; nil where the PMS has none.
        public let name: String?
        /// What its role is called; nil for a user without one.
        public let role: String?
    }

    /// A user by its number; nil where there is none. Of the users' table nothing else is read.
    ///
    /// - Throws: `PostgresError`.
    public func user(_ id: Int32) async throws -> User? { try await database.first(Self.user(id)) }

    private nonisolated static let user = Statement<User, Int32>(
        "pms.user",
        """
        SELECT users.id, users.name::TEXT, role.role_name::TEXT
        FROM users LEFT JOIN user_roles AS role ON role.id = users.role_id WHERE users.id = $1
        """
    ) { row in User(id: try row.next(), name: try row.next(), role: try row.next()) }
}
