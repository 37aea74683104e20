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

    /// Nights of one hotel that are looked at one by one; where more have changed the whole hotel is read.
    private static let maximumPlaces = 5000

    private let pms: RhtHotel
    private let hotels: HotelDirectory
    private let notifications: Notifications
    private let growth = Signal()
    /// Nil until it is known where to begin.
    private var position: ChangeLogPosition?
    private var failures = LogThrottle()
    private let followed = Metrics.counter(
        "drawbridge_bridge_changes_followed_total", "Rows of the PMS's change log that were looked at.")
    private let lag = Metrics.histogram(
        "drawbridge_bridge_change_duration_seconds", "From hearing of changes to knowing what is free now.")

    init(_ pms: RhtHotel, _ hotels: HotelDirectory, _ database: Database) {
        self.pms = pms
        self.hotels = hotels
        notifications = database.notifications(on: RhtHotel.changes)
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

    /// Follows the changes until the task is cancelled.
    func run() async {
        await withDiscardingTaskGroup { group in
            group.addTask { await self.listen() }
            group.addTask { await self.follow() }
        }
        notifications.close()
    }

    private func listen() async {
        while (try? await notifications.next()) != nil { growth.fire() }
    }

    private func follow() async {
        while !Task.isCancelled {
            do {
                let deadline = Deadline { self.growth.fire() }
                deadline.set(Self.interval)
                defer { deadline.cancel() }
                try await growth.wait()
                try await catchUp()
                try await Loop.sleep(for: Self.pause)
            } catch {
                note(error)
            }
        }
    }

    private func note(_ error: any Error) {
        guard !Task.isCancelled, let omitted = failures.admit(at: Loop.monotonicNanoseconds) else { return }
        Log.warning(
            "changes in the PMS not followed", ["error": .init(error: error), "lines_omitted": .init(omitted)])
    }

    /// Looks at every change there is.
    private func catchUp() async throws {
        let started = Loop.monotonicNanoseconds
        var hasChanged = false
        while true {
            if position == nil {
                position = try await pms.startOfChanges()
                hotels.distrustAll()
            }
            guard let current = position else { return }
            let page = try await pms.changes(after: current)
            try await take(page)
            position = page.next
            followed.increment(by: UInt64(page.entryCount))
            if !page.nights.isEmpty { hasChanged = true }
            if page.isComplete { break }
        }
        if hasChanged { lag.record(nanoseconds: Loop.monotonicNanoseconds - started) }
    }

    private func take(_ page: ChangePage<ChangeLogPosition>) async throws {
        for hotel in page.doubtful {
            if let hotel { hotels.distrust(hotel) } else { hotels.distrustAll() }
        }
        var places: [Int32: Set<NightChange.Place>] = [:]
        for change in page.nights { places[change.hotel, default: []].formUnion(change.places) }
        for (hotel, places) in places where !page.doubtful.contains(hotel) {
            if places.count > Self.maximumPlaces {
                hotels.distrust(hotel)
            } else {
                try await look(at: places, of: hotel)
            }
        }
    }

    /// Reads what is taken there now. No booking of ours is under way meanwhile, so what was read holds each of them or none.
    private func look(at places: Set<NightChange.Place>, of hotel: Int32) async throws {
        let rooms = Array(Set(places.compactMap(\.room)))
        let nights = Array(Set(places.compactMap(\.night)))
        do {
            try await hotels.inTurn(hotel) { entry in
                guard let entry else { return }
                let counts = try await pms.takenCounts(of: hotel, rooms: rooms, nights: nights)
                entry.set(counts, rooms: rooms, nights: nights)
            }
        } catch let error as LoopError where error.code != .closed {
            // Too many bookings wait there. They are read with the rest.
            hotels.distrust(hotel)
        } catch let error as PostgresError where error.code != .connectionLost {
            hotels.distrust(hotel)
        }
    }
}
