@testable import Installation

/// Where PostgreSQL's programs are: found as the installation finds them. In a file of its own, because both modules
/// have a type called `Database`.
func postgreSQLProgram(_ name: String) throws -> String { try PostgreSQL.find().program(name) }
