internal import Availability
internal import Catalogue
internal import Loop
internal import PMS
internal import Postgres
internal import Stay
internal import Telemetry

/// Tells subscribers where rooms have become free or taken, of each hotel once a second at most. One bridge does it, the one that
/// leads.
///
/// What is told is where to look. A leader that begins tells of every hotel, so that what the one before it had not told any
/// more is told as well.
@OnLoop
final class AvailabilityNews {
    private static let interval = Duration.seconds(1)
    /// Hotels that one statement tells of.
    private static let batch = 200

    private struct Places {
        /// Nil: of every type.
        var types: Set<Int32>?
        /// Nil: on every night that can be sold.
        var nights: ClosedRange<Day>?
    }

    private let database: Database
    private let hotels: HotelDirectory
    private var pending: [Int32: Places] = [:]
    private var isLeading = false
    private var failures = LogThrottle()

    init(_ database: Database, _ hotels: HotelDirectory) {
        self.database = database
        self.hotels = hotels
    }

    /// Works while this bridge leads, which is until the task is cancelled.
    func run() async {
        isLeading = true
        defer {
            isLeading = false
            pending = [:]
        }
        for hotel in hotels.order { noteAll(of: hotel) }
        while !Task.isCancelled {
            do { try await Loop.sleep(for: Self.interval) } catch { return }
            do {
                while true {
                    // Of what was not counted yet nothing can be told.
                    let next = pending.lazy.filter { self.nights($1, of: $0) != nil }.prefix(Self.batch).map { $0 }
                    guard !next.isEmpty else { break }
                    for (hotel, _) in next { pending[hotel] = nil }
                    do { try await database.execute(EntityEvent.tell(next.compactMap(event))) } catch {
                        for (hotel, places) in next { add(places, of: hotel) }
                        throw error
                    }
                }
            } catch {
                guard !Task.isCancelled, let omitted = failures.admit(at: Loop.monotonicNanoseconds) else { continue }
                Log.warning(
                    "changes of availability not told yet",
                    ["error": .init(error: error), "lines_omitted": .init(omitted)])
            }
        }
    }

    /// Something has changed in some rooms on some nights.
    func note(_ rooms: Set<Int32>, _ nights: Set<Day>, of entry: HotelEntry) {
        guard isLeading, let first = nights.min(), let last = nights.max() else { return }
        let types = Set(entry.offer.rooms.lazy.filter { rooms.contains($0.id) }.map(\.type))
        add(Places(types: types.isEmpty ? nil : types, nights: first...last), of: entry.id)
    }

    /// Anything may have changed at a hotel.
    func noteAll(of hotel: Int32) {
        guard isLeading else { return }
        add(Places(types: nil, nights: nil), of: hotel)
    }

    private func add(_ new: Places, of hotel: Int32) {
        guard let known = pending[hotel] else {
            pending[hotel] = new
            return
        }
        var both = Places(types: nil, nights: nil)
        if let some = known.types, let more = new.types { both.types = some.union(more) }
        if let some = known.nights, let more = new.nights {
            both.nights = min(some.lowerBound, more.lowerBound)...max(some.upperBound, more.upperBound)
        }
        pending[hotel] = both
    }

    private func nights(_ places: Places, of hotel: Int32) -> ClosedRange<Day>? {
        if let nights = places.nights { return nights }
        guard let window = hotels.entries[hotel]?.availability.window, !window.isEmpty else { return nil }
        return window.lowerBound...window.upperBound.advanced(by: -1)
    }

    private func event(_ hotel: Int32, _ places: Places) -> EntityEvent? {
        guard let nights = nights(places, of: hotel) else { return nil }
        let all = hotels.entries[hotel]?.offer.roomTypes.filter(\.isActive).map(\.type.id) ?? []
        return .availability(of: hotel, types: (places.types.map(Array.init) ?? all).sorted(), nights: nights)
    }
}
