internal import Authentication
internal import Glibc
internal import HTTP
internal import HotelTime
internal import Lifecycle
internal import Policy
internal import Postgres
internal import Server
internal import Stay

/// Everything the bridge is configured with, read and checked before any socket is touched.
struct BridgeConfiguration: Sendable {
    let policy: BridgePolicy
    let changeable: Changeable
    /// That of the bridge's own tables.
    let database: DatabaseConfiguration
    /// The PMS's; nil where it is the same.
    let pmsDatabase: DatabaseConfiguration?
    let hopKeyFile: String
    /// Whether this is the demo, whose webhooks may go to receivers on this machine that have no certificate.
    let isDemo: Bool

    /// What a running bridge can go over to.
    struct Changeable: Sendable {
        let routes: RouteTable
        let issuers: IssuerPolicy
        /// Where webhooks may be sent, and how.
        let egress: EgressPolicy
        /// The clients that sign their requests, each with its hotels; their secrets are the gateways'.
        let registeredClients: [String: HotelAccess]
        /// Who sends us webhooks; the secrets are the gateways'.
        let inbound: InboundPolicy

        /// - Throws: `PolicyError` with every mistake of a policy file.
        init(_ directory: PolicyDirectory, isDemo: Bool) throws {
            routes = try directory.routes()
            egress = isDemo ? try directory.egress().allowingPlainLoopback() : try directory.egress()
            issuers = try directory.issuers()
            registeredClients = try directory.registeredClients()
            inbound = try directory.inboundWithoutSecrets()
        }
    }

    /// The environment variables with the databases' connection strings; they hold passwords, so no file has them.
    static let databaseVariable = "DATABASE_URL"
    static let pmsDatabaseVariable = "PMS_DATABASE_URL"

    /// What the configuration lacks.
    struct Mistake: Error, CustomStringConvertible {
        let description: String
    }

    /// - Throws: `PolicyError` with every mistake of a policy file, `Mistake`, `PostgresError` `configuration`.
    init(_ context: ProcessContext) throws {
        let directory = Self.directory(context)
        let policy = try directory.bridge()
        self.policy = policy
        func variable(_ name: String) -> String? {
            getenv(name).map { String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 }
        }
        isDemo = variable(Lifecycle.demoVariable) != nil
        changeable = try Changeable(directory, isDemo: isDemo)
        guard let url = variable(Self.databaseVariable) else {
            throw Mistake(description: "\(Self.databaseVariable) is not set")
        }
        let pmsURL = variable(Self.pmsDatabaseVariable)
        if policy.takesPending, pmsURL == nil {
            throw Mistake(
                description: "bridge.yaml: when_unreachable: pending is for a PMS with a database of its own, which "
                    + "\(Self.pmsDatabaseVariable) names; one that is in the bridge's database is away whenever that is"
            )
        }
        if pmsURL != nil, policy.database.poolSize < 2 {
            throw Mistake(description: "bridge.yaml: with \(Self.pmsDatabaseVariable) pool_size must be at least 2")
        }
        database = try Self.database(url, name: pmsURL == nil ? "pms" : "bridge", policy)
        pmsDatabase = try pmsURL.map { try Self.database($0, name: "pms", policy) }
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

    private static func database(
        _ url: String, name: String, _ policy: BridgePolicy
    ) throws -> DatabaseConfiguration {
        var database = DatabaseConfiguration(url, name: name)
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
        // Starting processes for a statement takes ten times as long as any statement here: reading the PMS's log did, again and
        // again while there were bookings.
        database.sessionSettings["max_parallel_workers_per_gather"] = "0"
        // No statement here runs so long that compiling it would pay, but some are estimated so: a table that a dispatcher reads
        // whole for want of an index, though that is switched off for it, counts as very dear.
        database.sessionSettings["jit"] = "off"
        try database.validate()
        return database
    }

    static func directory(_ context: ProcessContext) -> PolicyDirectory {
        PolicyDirectory(path: context.policies, installation: context.home)
    }

    /// The server that the gateway's workers talk to; it keeps their request ids.
    var server: ServerConfiguration {
        var server = ServerConfiguration()
        server.trustsRequestID = true
        server.idleTimeout = .seconds(120)
        // What the gateway lets through is its policy's affair; here is room for the most that may allow, and for what the gateway
        // adds, its proof of identity above all.
        let most = GatewayPolicy.ServerLimits.bounds
        server.limits.startLine = most.requestLine.bytes
        server.limits.fieldCount = most.fieldCount + 16
        server.limits.fieldSection = most.fieldSection.bytes + 16 * 1024
        server.limits.body = UInt64(policy.maximumRequestBody.bytes)
        return server
    }
}
