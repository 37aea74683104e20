public import Postgres

/// Something in the PMS that cannot be understood. It costs a hotel, a plan or a room, never more, until it is mended.
public struct Fault: Hashable, Sendable {
    /// The hotel it is about; nil for what all hotels share.
    public let hotel: Int32?
    /// Where it stands: a table of the PMS.
    public let table: String
    /// What is wrong and with what, without the value found: that may be somebody's personal data.
    public let reason: String

    /// Something that cannot be understood.
    public init(hotel: Int32?, table: String, reason: String) {
        self.hotel = hotel
        self.table = table
        self.reason = reason
    }
}

extension Fault {
    /// The fault that keeps a hotel from being booked; nil for an error that says nothing about the hotel.
    ///
    /// - Parameter error: of a statement that reads what a booking needs.
    public init?(inBooking error: PostgresError, hotel: Int32) {
        guard error.code != .timedOut else { return nil }
        // A right, a table or a column that is missing is missing for every hotel, unless it is the PMS's own function
        // that misses it.
        if case .sql(let state) = error.code, state.hasPrefix("42") {
            guard error.statement == "rht.plans_of_hotel" else { return nil }
        }
        self.init(error, hotel: hotel)
    }

    /// The fault that keeps a whole hotel from being read; nil for an error that says nothing about the hotel.
    init?(_ error: PostgresError, hotel: Int32) {
        // Statements on tables of our own are not the PMS's; nor is one to blame where we gave up waiting for the
        // server.
        guard error.concernsData, let statement = error.statement, statement.hasPrefix("rht.") else { return nil }
        self.init(
            hotel: hotel, table: statement.split(separator: ".").last.map(String.init) ?? statement,
            reason: error.message)
    }
}

extension PostgresError {
    /// Whether it may be that only some of the rows asked for cannot be read, so that it helps to ask for fewer.
    var concernsData: Bool {
        switch code {
        case .decoding, .timedOut: true
        // Connection, resources, shutdown and transaction state are nobody's rows' fault.
        case .sql(let state): !["08", "25", "53", "57", "58"].contains(state.prefix(2))
        default: false
        }
    }
}
