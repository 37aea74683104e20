internal import Glibc

/// PostgreSQL's programs as Debian installs them.
struct PostgreSQL: Sendable, Equatable {
    /// Where `postgres` and `initdb` are.
    let directory: String
    /// The major version, such as 15.
    let version: Int

    func program(_ name: String) -> String { "\(directory)/\(name)" }

    /// Finds the newest version installed, or the one that an existing cluster was made by.
    ///
    /// - Parameter cluster: a data directory, which need not be there.
    static func find(for cluster: String? = nil) throws -> PostgreSQL {
        let parent = "/usr/lib/postgresql"
        let installed = File.names(in: parent).compactMap { Int($0) }
            .map { PostgreSQL(directory: "\(parent)/\($0)/bin", version: $0) }
            .filter { File.exists($0.program("postgres")) && File.exists($0.program("initdb")) }
        let needed = try cluster.flatMap { try File.readText("\($0)/PG_VERSION") }.flatMap { Int($0.trimmingNewline) }
        guard
            let best = installed.filter({ needed == nil || $0.version == needed }).max(by: { $0.version < $1.version })
        else {
            let package = needed.map { "postgresql-\($0)" } ?? "postgresql"
            throw InstallationError(
                "the package \(package) is missing", remedy: "run Scripts/packages, or set DATABASE_URL")
        }
        return best
    }
}
