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
        var nights: ClosedRange<Day>
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
                while !pending.isEmpty {
                    let next = Array(pending.prefix(Self.batch))
                    for (hotel, _) in next { pending[hotel] = nil }
                    do { try await database.execute(EntityEvent.tell(next.map(event))) } catch {
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
        guard isLeading, let entry = hotels.entries[hotel] else { return }
        let window = entry.availability.window
        guard !window.isEmpty else { return }
        add(Places(types: nil, nights: window.lowerBound...window.upperBound.advanced(by: -1)), of: hotel)
    }

    private func add(_ new: Places, of hotel: Int32) {
        guard let known = pending[hotel] else {
            pending[hotel] = new
            return
        }
        let (first, last) = (
            min(known.nights.lowerBound, new.nights.lowerBound), max(known.nights.upperBound, new.nights.upperBound)
        )
        var types: Set<Int32>?
        if let some = known.types, let more = new.types { types = some.union(more) }
        pending[hotel] = Places(types: types, nights: first...last)
    }

    private func event(_ hotel: Int32, _ places: Places) -> EntityEvent {
        let all = hotels.entries[hotel]?.offer.roomTypes.filter(\.isActive).map(\.type.id) ?? []
        return .availability(of: hotel, types: (places.types.map(Array.init) ?? all).sorted(), nights: places.nights)
    }
}
