internal import Loop
internal import PMS
internal import Postgres
internal import Stay
internal import Telemetry

/// Follows what the front desk changes: the PMS's log says where to look, and the index gets what is there now.
///
/// What the log tells is a hint and no more, so it does not matter that rows come late, twice or with our own bookings among
/// them. Where it cannot be followed the hotels are read anew, as they are without it.
@OnLoop
final class ChangeFeed {
    /// How long after a reading the next one waits, so that a busy hour costs a bounded number of them.
    private static let pause = Duration.milliseconds(20)

    /// How often it looks without being told to: rows that were missing may have come.
    private static let interval = Duration.seconds(1)

    /// Rooms times nights of one hotel that are looked at; where more have changed the whole hotel is read.
    private static let maximumPlaces = 5000

    private let pms: RhtHotel
    private let hotels: HotelDirectory
    private let suspect: @OnLoop ([RoomNight]) async -> Void
    private let news: AvailabilityNews
    private let notifications: Notifications
    private let growth = Signal()
    /// Nil until it is known where to begin.
    private var position: ChangeLogPosition?
    /// What is to be looked at, by hotel.
    private var pending: [Int32: Places] = [:]
    /// Hotels that are being looked at.
    private var underWay: Set<Int32> = []
    private var failures = LogThrottle()
    private let followed = Metrics.counter(
        "drawbridge_bridge_changes_followed_total", "Rows of the PMS's change log that were looked at.")
    private let lag = Metrics.histogram(
        "drawbridge_bridge_change_duration_seconds", "From hearing of changes to knowing what is free now.")

    /// - Parameters:
    ///   - news: told of what was looked at. Of hotels that are read as a whole it hears when that has been done.
    ///   - suspect: told of room-nights that are taken twice.
    init(
        _ pms: RhtHotel, _ hotels: HotelDirectory, _ news: AvailabilityNews,
        suspect: @escaping @OnLoop ([RoomNight]) async -> Void
    ) {
        self.suspect = suspect
        self.news = news
        self.pms = pms
        self.hotels = hotels
        notifications = pms.notifications()
        Metrics.gauge(
            "drawbridge_bridge_changes_missing",
            "Numbers of the PMS's change log that are looked for: transactions at the front desk that still run."
        ) { [weak self] in Double(self?.position?.missing.reduce(0) { $0 + $1.count } ?? 0) }
    }

    /// Finds out where to begin. To be called before the hotels are read: what changes meanwhile is then looked at twice.
    /// Where that fails they are read once more later.
    func begin() async {
        do { position = try await pms.startOfChanges() } catch { note(error) }
    }

    /// Follows the changes until the task is cancelled. Each hotel is looked at when it is its turn there, so a busy one
    /// keeps no other waiting.
    func run() async {
        await withDiscardingTaskGroup { group in
            group.addTask { await self.listen() }
            while !Task.isCancelled {
                do {
                    try await waitForGrowth()
                    try await readOn { hotel in group.addTask { await self.look(at: hotel) } }
                    try await Loop.sleep(for: Self.pause)
                } catch {
                    note(error)
                }
            }
        }
        notifications.close()
    }

    private func listen() async {
        while (try? await notifications.next()) != nil { growth.fire() }
    }

    private func waitForGrowth() async throws {
        let deadline = Deadline { self.growth.fire() }
        deadline.set(Self.interval)
        defer { deadline.cancel() }
        try await growth.wait()
    }

    private func note(_ error: any Error) {
        guard !Task.isCancelled, let omitted = failures.admit(at: Loop.monotonicNanoseconds) else { return }
        Log.warning(
            "changes in the PMS not followed", ["error": .init(error: error), "lines_omitted": .init(omitted)])
    }

    /// Takes note of every change there is.
    ///
    /// - Parameter begin: called for each hotel that is to be looked at and is not yet.
    private func readOn(_ begin: (Int32) -> Void) async throws {
        while true {
            if position == nil {
                position = try await pms.startOfChanges()
                hotels.distrustAll()
            }
            guard let current = position else { return }
            let page = try await pms.changes(after: current)
            guard page.isContinued else {
                Log.warning("the PMS's change log begins anew; every hotel is read")
                position = nil
                continue
            }
            // They are hints, and everything is read anew at the next start: what is noted is not lost before that.
            position = page.next
            note(page)
            for hotel in pending.keys where underWay.insert(hotel).inserted { begin(hotel) }
            followed.increment(by: UInt64(page.entryCount))
            if page.isComplete { return }
        }
    }

    private func note(_ page: ChangePage<ChangeLogPosition>) {
        for hotel in page.doubtful {
            if let hotel { hotels.distrust(hotel) } else { hotels.distrustAll() }
        }
        for change in page.nights where !page.doubtful.contains(change.hotel) {
            pending[change.hotel, default: Places(since: Loop.monotonicNanoseconds)].insert(change.places)
            if pending[change.hotel]!.count > Self.maximumPlaces {
                pending[change.hotel] = nil
                hotels.distrust(change.hotel)
            }
        }
    }

    /// Looks at what has changed at a hotel, as long as there is something.
    private func look(at hotel: Int32) async {
        defer { underWay.remove(hotel) }
        while pending[hotel] != nil {
            do {
                let doubles = try await hotels.inTurn(hotel) { entry -> [RoomNight] in
                    guard let places = pending.removeValue(forKey: hotel), let entry else { return [] }
                    defer { lag.record(nanoseconds: Loop.monotonicNanoseconds - places.since) }
                    return try await look(at: places, of: entry)
                }
                if !doubles.isEmpty { await suspect(doubles) }
            } catch {
                if Task.isCancelled { return }
                // Too many bookings wait there, or the database is away. It is read as a whole, when that is possible.
                pending[hotel] = nil
                hotels.distrust(hotel)
            }
        }
    }

    /// Reads what is taken there now. No booking of ours is under way meanwhile, so what was read holds each of them or none.
    ///
    /// - Returns: what is taken twice.
    private func look(at places: Places, of entry: HotelEntry) async throws -> [RoomNight] {
        let rooms = Array(places.rooms)
        let nights = Array(places.nights)
        let counts = try await pms.takenCounts(of: entry.id, rooms: rooms, nights: nights)
        entry.set(counts, rooms: rooms, nights: nights)
        news.note(places.rooms, places.nights, of: entry)
        return counts.compactMap { count in
            guard let room = count.room, count.count > 1 else { return nil }
            return RoomNight(hotel: entry.id, room: room, night: count.night)
        }
    }
}

/// Some rooms and nights of a hotel, all of which are looked at together.
private struct Places {
    /// When the first of them became known, on the monotonic clock.
    let since: UInt64
    private(set) var rooms: Set<Int32> = []
    private(set) var nights: Set<Day> = []

    init(since: UInt64) { self.since = since }

    var count: Int { max(1, rooms.count) * nights.count }

    mutating func insert(_ places: Set<NightChange.Place>) {
        rooms.formUnion(places.lazy.compactMap(\.room))
        nights.formUnion(places.lazy.compactMap(\.night))
    }
}
