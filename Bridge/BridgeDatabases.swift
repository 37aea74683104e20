internal import Loop
internal import PMS
internal import Policy
internal import Postgres
internal import Stay

/// The database that the bridge's own tables are in, and the PMS's, which may be the same one.
@OnLoop
struct BridgeDatabases {
    let own: Database
    let pms: RhtHotel
    /// The PMS's reservations, where its database is another one.
    let remote: RemoteRhtHotel?
    private let separate: Database?

    /// - Parameter connections: to each of them; nil for what the policy says.
    init(_ configuration: BridgeConfiguration, connections: Int? = nil) throws {
        func database(_ configuration: DatabaseConfiguration) throws -> Database {
            var configuration = configuration
            if let connections { configuration.connections = connections }
            return try Database(configuration)
        }
        let own = try database(configuration.database)
        separate = try configuration.pmsDatabase.map(database)
        self.own = own
        let waiting: RhtHotel.Waiting = { hotels in
            try await own.query(PendingStatements.nights(hotels, Day.first, Day.last, nil))
        }
        let writer = configuration.policy.writer
        let pms = RhtHotel(
            separate ?? own, writer: RhtHotel.Writer(agent: writer.agentName, user: writer.userID),
            statementDeadline: configuration.policy.database.statementDeadline,
            waiting: separate == nil ? nil : waiting)
        self.pms = pms
        remote = separate.map { _ in RemoteRhtHotel(pms, own: own) }
    }

    /// Where reservations are read and written.
    func reservations(_ hotels: HotelDirectory, _ policy: BridgePolicy) -> any ReservationAdapter {
        remote.map { PendingReservations($0, own, hotels, policy) } ?? pms
    }

    /// Keeps them connected until the task is cancelled.
    func run() async {
        await withDiscardingTaskGroup { group in
            group.addTask { await own.run() }
            if let separate { group.addTask { await separate.run() } }
        }
    }

    /// Why nothing can be answered; nil where something can.
    var unreadiness: String? { own.isAvailable ? nil : "the database is not reachable" }
}
