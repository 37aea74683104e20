internal import Authentication
internal import Glibc

/// What the environment of a command chooses.
public struct Settings: Sendable, Equatable {
    /// The database of the bridge's own tables; `nil` for a private one.
    public let databaseURL: String?
    /// The PMS's database, where it is another one.
    public let pmsDatabaseURL: String?
    /// In place of the first public listener's port.
    public let port: UInt16?
    /// In place of the admin listener's port.
    public let adminPort: UInt16?

    /// The master key, where the environment has it; for the bridge alone.
    static var masterKey: String? {
        getenv(MasterKey.variable).map { String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 }
    }

    /// Reads `DATABASE_URL`, `PMS_DATABASE_URL`, `DRAWBRIDGE_PORT` and `DRAWBRIDGE_ADMIN_PORT`; empty is unset.
    public init() throws(InstallationError) {
        try self.init { name in getenv(name).map { String(cString: $0) } }
    }

    init(_ environment: (String) -> String?) throws(InstallationError) {
        func value(_ name: String) -> String? { environment(name).flatMap { $0.isEmpty ? nil : $0 } }
        func port(_ name: String) throws(InstallationError) -> UInt16? {
            guard let text = value(name) else { return nil }
            guard let port = UInt16(text) else {
                throw InstallationError("\(name) is \(text)", remedy: "set it to a port from 0 (any free one) to 65535")
            }
            return port
        }
        func url(_ name: String) throws(InstallationError) -> String? {
            guard let text = value(name) else { return nil }
            // It may hold a password, and so is not shown.
            guard ConnectionString.isOne(text) else {
                throw InstallationError(
                    "\(name) is no connection string of PostgreSQL",
                    remedy: "set it to postgresql://USER:PASSWORD@HOST/DATABASE, or to host=HOST dbname=DATABASE …")
            }
            return text
        }
        databaseURL = try url("DATABASE_URL")
        pmsDatabaseURL = try url("PMS_DATABASE_URL")
        self.port = try port("DRAWBRIDGE_PORT")
        adminPort = try port("DRAWBRIDGE_ADMIN_PORT")
    }
}
