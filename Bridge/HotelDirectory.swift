internal import Availability
internal import Booking
internal import Loop
internal import PMS
internal import Policy
internal import Stay
internal import Telemetry

/// Every hotel in memory: what it sells, and which rooms are free.
@OnLoop
final class HotelDirectory {
    /// How long an index counts as fresh.
    static let timeToLive = Duration.seconds(15 * 60)

    /// Hotels whose taken nights are read in one query.
    private static let batch = 50

    private let policy: BridgePolicy
    private let pms: RhtHotel
    private var entries: [Int32: HotelEntry] = [:]
    private var order: [Int32] = []
    private(set) var isLoaded = false

    /// Hotels to be read anew out of turn.
    private var doubtful: Set<Int32> = []
    private let doubt = Signal()

    init(_ policy: BridgePolicy, _ pms: RhtHotel) {
        self.policy = policy
        self.pms = pms
        Metrics.gauge("drawbridge_bridge_hotels", "Hotels in memory.") { [unowned self] in Double(count) }
        Metrics.gauge(
            "drawbridge_bridge_unassigned_nights", "Nights taken today without a room, in all hotels."
        ) { [unowned self] in Double(entries.values.reduce(0) { $0 + Int($1.index.unassigned(on: $1.today)) }) }
    }

    var count: Int { order.count }

    /// All hotels in the PMS's order.
    var all: [HotelEntry] { order.compactMap { entries[$0] } }

    subscript(id: Int32) -> HotelEntry? { entries[id] }

    /// Reads everything from the PMS; tries again until it succeeds or the task is cancelled.
    func load() async throws {
        let started = Loop.monotonicNanoseconds
        while true {
            do {
                try await loadOnce()
                break
            } catch is CancellationError {
                throw CancellationError()
            } catch {
                Log.warning("hotels not loaded yet", ["error": .init(error: error)])
                try await Loop.sleep(for: .seconds(1))
            }
        }
        isLoaded = true
        Log.info(
            "hotels loaded",
            ["hotels": .init(count), "milliseconds": .init((Loop.monotonicNanoseconds - started) / 1_000_000)])
    }

    private func loadOnce() async throws {
        let catalogues = try await pms.catalogues { Currency(policy.hotel($0).currency) ?? .jpy }
        var entries: [Int32: HotelEntry] = [:]
        for start in stride(from: 0, to: catalogues.count, by: Self.batch) {
            let batch = catalogues[start..<min(start + Self.batch, catalogues.count)]
            for entry in try await read(Array(batch)) { entries[entry.id] = entry }
        }
        self.entries = entries
        order = catalogues.map(\.hotel.id)
    }

    private func read(_ catalogues: [HotelCatalogue]) async throws -> [HotelEntry] {
        let clocks = catalogues.map { HotelClock(timeZone: policy.hotel($0.hotel.id).timeZone)! }
        let now = Int64(Loop.unixTime)
        let days = clocks.map { $0.today(at: now)! }
        guard let first = days.min() else { return [] }
        let taken = Dictionary(
            grouping: try await pms.takenNights(of: catalogues.map(\.hotel.id), from: first), by: \.hotel)
        return zip(catalogues, zip(clocks, days)).map { catalogue, time in
            HotelEntry(
                catalogue, clock: time.0, windowInDays: policy.availability.windowInDays, today: time.1,
                taken: (taken[catalogue.hotel.id] ?? []).map(\.night))
        }
    }

    /// Reads one hotel after the other anew, so that each is fresh and the PMS sees an even trickle of queries; first
    /// those that somebody is in doubt about.
    func keepFresh() async {
        var next = 0
        while !Task.isCancelled, !order.isEmpty {
            let deadline = Deadline { self.doubt.fire() }
            deadline.set(doubtful.isEmpty ? Self.timeToLive / (2 * order.count) : .seconds(1))
            defer { deadline.cancel() }
            do { try await doubt.wait() } catch { return }
            let id = doubtful.popFirst() ?? order[next % order.count]
            next += 1
            guard let entry = entries[id] else { continue }
            do { try await refresh(entry) } catch {
                Log.warning("hotel not refreshed", ["hotel_id": .init(id), "error": .init(error: error)])
            }
        }
    }

    /// Runs `body` when it is its turn to change the hotel's rooms; at once for a hotel that is not in memory.
    func inTurn<Output>(
        _ hotel: Int32, _ body: @OnLoop (HotelEntry?) async throws -> Output
    ) async throws -> Output {
        guard let entry = entries[hotel] else { return try await body(nil) }
        return try await entry.turnstile.pass { try await body(entry) }
    }

    /// It is not known whether a change of ours took effect: what is in memory of the hotel is read anew soon.
    func distrust(_ hotel: Int32) {
        doubtful.insert(hotel)
        doubt.fire()
    }

    /// Replaces a hotel's index by what the PMS says now. No booking of ours is under way meanwhile, so what was read
    /// holds each of them or none.
    private func refresh(_ entry: HotelEntry) async throws {
        try await entry.turnstile.pass {
            let today = entry.today
            let taken = try await pms.takenNights(of: [entry.id], from: today)
            entry.replaceIndex(today: today, taken: taken.map(\.night))
        }
    }
}

/// One hotel: its catalogue, its index, and who may book now.
@OnLoop
final class HotelEntry {
    let id: Int32
    let catalogue: HotelCatalogue
    let typeNames: [Int32: String]
    private let clock: HotelClock
    private let windowInDays: Int
    private(set) var index: HotelIndex
    /// When the catalogue was read from the PMS, in Unix seconds.
    let catalogueLoadedAt = Loop.unixTime

    /// When the index was last read from the PMS, in Unix seconds.
    private(set) var loadedAt: Double

    /// What changes the hotel's rooms passes one after the other, the index included. In the database the bookings of a
    /// hotel wait for each other anyway, but there each would hold a connection.
    let turnstile = Turnstile(bound: 512, patience: .seconds(5))

    init(
        _ catalogue: HotelCatalogue, clock: HotelClock, windowInDays: Int, today: Day, taken: [TakenNight]
    ) {
        id = catalogue.hotel.id
        self.catalogue = catalogue
        self.clock = clock
        self.windowInDays = windowInDays
        typeNames = Dictionary(catalogue.roomTypes.map { ($0.id, $0.name) }, uniquingKeysWith: { first, _ in first })
        index = Self.makeIndex(catalogue, windowInDays, today, taken)
        loadedAt = Loop.unixTime
    }

    /// The day it is at the hotel.
    var today: Day { clock.today(at: Int64(Loop.unixTime)) ?? index.firstNight }

    /// Lets the index's window start today, as it does from midnight on.
    func rollWindow() {
        let today = today
        if index.firstNight < today { index.advance(to: today) }
    }

    /// Rooms were booked. To be called in the turnstile, as the two below.
    func take(_ rooms: [Int32], nights: Range<Day>) {
        for room in rooms { _ = index.take(room: room, nights: nights) }
    }

    /// A room was given back for a night.
    func release(_ room: Int32, night: Day) { _ = index.release(room: room, nights: night..<night.advanced(by: 1)) }

    /// The PMS was read anew.
    func replaceIndex(today: Day, taken: [TakenNight]) {
        index = Self.makeIndex(catalogue, windowInDays, today, taken)
        loadedAt = Loop.unixTime
    }

    private static func makeIndex(
        _ catalogue: HotelCatalogue, _ windowInDays: Int, _ today: Day, _ taken: [TakenNight]
    ) -> HotelIndex {
        HotelIndex(
            firstNight: today, nightCount: windowInDays + BookingRules.maximumNights,
            types: catalogue.roomTypes.map(\.id),
            rooms: catalogue.rooms.map { SellableRoom(id: $0.id, type: $0.type, capacity: $0.capacity) }, taken: taken)
    }
}
