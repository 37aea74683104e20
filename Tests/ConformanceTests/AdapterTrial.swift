import Loop
import PMS
import Stay

/// One vendor's PMS as the conformance suite arranges it: a real one, with calls to make what the tests need in it. A new
/// adapter comes with one of these, and a line in `all`.
@OnLoop
protocol AdapterTrial {
    /// Runs `body` with a PMS that has no hotel yet.
    static func run(_ body: @escaping @Sendable @OnLoop (Self) async throws -> Void) async throws

    var adapter: any PMSAdapter { get }

    /// A hotel without anything; the hotels' order is that in which they were made.
    func addHotel(_ name: String) async throws -> Int32
    func addRoomType(_ hotel: Int32, _ name: String) async throws -> Int32
    func addRoom(_ hotel: Int32, _ type: Int32, _ kind: RoomKind, capacity: Int32) async throws -> Int32
    /// A plan of a hotel with one price for every night, tax of ten per cent included.
    func addPlan(_ hotel: Int32, _ name: String, price: Int) async throws
    func addAddOn(_ hotel: Int32, _ name: String, isShown: Bool) async throws
    /// A reservation of the nights, in a room or in none in particular.
    func reserve(_ hotel: Int32, room: Int32?, _ kind: ReservationKind, _ nights: Range<Day>) async throws
    func removeHotel(_ hotel: Int32) async throws

    /// Everything about the shape of the vendor's store that an adapter must leave alone, as text.
    func shape() async throws -> String
}

/// Rooms as hotels have them.
enum RoomKind: CaseIterable, Sendable {
    case forSale, notForSale, staff
}

/// What takes a room, or has taken it.
enum ReservationKind: CaseIterable, Sendable {
    case confirmed, hold, block, cancelled
}

/// Every adapter there is.
enum Vendor: String, CaseIterable, Sendable {
    case rhtHotel

    @OnLoop
    func trial(_ body: @escaping @Sendable @OnLoop (any AdapterTrial) async throws -> Void) async throws {
        switch self {
        case .rhtHotel: try await RhtHotelTrial.run { try await body($0) }
        }
    }
}
