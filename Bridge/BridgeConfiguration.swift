internal import Authentication
internal import Glibc
internal import HTTP
internal import Lifecycle
internal import Policy
internal import Postgres
internal import Server
internal import Stay

/// Everything the bridge is configured with, read and checked before any socket is touched.
struct BridgeConfiguration: Sendable {
    let policy: BridgePolicy
    let changeable: Changeable
    let database: DatabaseConfiguration
    let hopKeyFile: String

    /// What a running bridge can go over to.
    struct Changeable: Sendable {
        let routes: RouteTable
        let issuers: IssuerPolicy
        /// The clients that sign their requests, each with its hotels; their secrets are the gateways'.
        let registeredClients: [String: HotelAccess]

        /// - Throws: `PolicyError` with every mistake of a policy file.
        init(_ directory: PolicyDirectory) throws {
            routes = try directory.routes()
            issuers = try directory.issuers()
            registeredClients = try directory.registeredClients()
        }
    }

    /// The environment variable with the PMS database's connection string; it holds a password, so no file has it.
    static let databaseVariable = "DATABASE_URL"

    /// What the configuration lacks.
    struct Mistake: Error, CustomStringConvertible {
        let description: String
    }

    /// - Throws: `PolicyError` with every mistake of a policy file, `Mistake`, `PostgresError` `configuration`.
    init(_ context: ProcessContext) throws {
        let directory = Self.directory(context)
        policy = try directory.bridge()
        changeable = try Changeable(directory)
        guard let url = getenv(Self.databaseVariable).map({ String(cString: $0) }), !url.isEmpty else {
            throw Mistake(description: "\(Self.databaseVariable) is not set")
        }
        var database = DatabaseConfiguration(url, name: "pms")
        database.connections = policy.database.poolSize
        database.callDeadline = policy.database.statementDeadline
        database.statementTimeout = policy.database.statementDeadline
        // A bridge that stands still in a transaction keeps a hotel from being booked no longer than that.
        database.idleTransactionTimeout = .seconds(5)
        // The PMS's audit triggers read who acts from the session; see Documentation/PMS.md.
        database.sessionSettings["my_app.user_id"] = String(policy.writer.userID)
        // The PMS has several tables with a partition per hotel. Planned for this hotel, a statement touches one of
        // them and takes half a millisecond; a plan for any hotel names all of them, which took 0.3 s and megabytes to
        // make, once per statement and connection, with a thousand hotels, and locks them all wherever it is used.
        database.sessionSettings["plan_cache_mode"] = "force_custom_plan"
        try database.validate()
        self.database = database
        for hotel in [policy.hotelDefaults] + policy.hotels.values {
            guard HotelClock(timeZone: hotel.timeZone) != nil else {
                throw Mistake(description: "bridge.yaml: \(hotel.timeZone) is no time zone of this system")
            }
            guard Currency(hotel.currency) != nil else {
                throw Mistake(description: "bridge.yaml: \(hotel.currency) is no currency")
            }
        }
        hopKeyFile = "\(context.home)/keys/hop.key"
    }

    static func directory(_ context: ProcessContext) -> PolicyDirectory {
        PolicyDirectory(path: context.policies, installation: context.home)
    }

    /// The server that the gateway's workers talk to; it keeps their request ids.
    var server: ServerConfiguration {
        var server = ServerConfiguration()
        server.trustsRequestID = true
        server.idleTimeout = .seconds(120)
        // Room for what the gateway adds to the fields it has let through, its proof of identity above all.
        server.limits.fieldCount += 16
        server.limits.fieldSection += 16 * 1024
        server.limits.body = UInt64(policy.maximumRequestBody.bytes)
        return server
    }
}
