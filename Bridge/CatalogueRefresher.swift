internal import Availability
internal import Booking
internal import Catalogue
internal import Loop
internal import PMS
internal import Postgres
internal import Stay
internal import Telemetry

/// Reads from the PMS what a trigger asks for, and makes it what is answered from: the only way in which hotels and what they
/// sell change while the bridge runs.
///
/// First everything is read, then what has changed is written down and taken over, hotel by hotel: of each hotel
/// everything changes at once or nothing does. What cannot be read stays as it was. What another bridge has written down
/// since it was read is read again: it may be older.
@OnLoop
final class CatalogueRefresher {
    /// What is to be read anew.
    enum Scope: Hashable, Sendable {
        /// The hotels themselves; nil: every one, with those that are new. New hotels come with all they sell.
        case hotels(Set<Int32>?)
        /// What hotels sell.
        case roomTypes(Set<Int32>?)
        /// What is free at a hotel: of one room type or of all, on some nights or on all.
        case availability(Int32, type: Int32?, nights: Range<Day>?)

        var kind: CacheKind {
            switch self {
            case .hotels: .hotels
            case .roomTypes: .roomTypes
            case .availability: .availability
            }
        }
    }

    /// What came of it.
    struct Outcome: Sendable {
        var change = CatalogueChange()
        /// Hotels of which something could not be read or kept; they are as they were.
        var failures: [(hotel: Int32, reason: String)] = []
        var milliseconds = 0

        static func += (outcome: inout Outcome, other: Outcome) {
            outcome.change += other.change
            outcome.failures += other.failures
        }
    }

    /// How long a trigger waits for others that ask for the same.
    private static let gathering = Duration.milliseconds(25)

    /// Why nothing was done about a hotel in whose line too many stand.
    private static let busy = "the hotel is too busy with bookings"

    private static let overtaken = "other bridges read the hotel at the same time"

    /// How often a hotel is read for one trigger at most, where others overtake it.
    private static let readings = 3

    /// Triggers for different things that may wait.
    private static let bound = 256

    private let directory: HotelDirectory
    private let triggers: CacheTriggers
    private let fetches: [CacheKind: Counter]
    // One after the other, so that of two readings of a hotel the later one counts, to which between bridges the store
    // sees; and others than those of availability, which are short and must not wait for a thousand hotels.
    private var catalogue: SharedWork<Scope, Int64, Outcome>!
    private var availability: SharedWork<Scope, Int64, Outcome>!

    init(_ directory: HotelDirectory, _ triggers: CacheTriggers) {
        self.directory = directory
        self.triggers = triggers
        fetches = Dictionary(
            uniqueKeysWithValues: CacheKind.allCases.map { kind in
                (
                    kind,
                    Metrics.counter(
                        "drawbridge_bridge_cache_fetches_total", "Readings from the PMS that triggers asked for.",
                        [("cache", kind.rawValue)])
                )
            })
        catalogue = SharedWork(atOnce: 1, bound: Self.bound, gathering: Self.gathering) { [unowned self] in
            try await perform($0, for: $1)
        }
        availability = SharedWork(atOnce: 4, bound: Self.bound, gathering: Self.gathering) { [unowned self] in
            try await perform($0, for: $1)
        }
    }

    /// Works until the task is cancelled.
    func run() async {
        await withDiscardingTaskGroup { group in
            group.addTask { await self.catalogue.run() }
            group.addTask { await self.availability.run() }
        }
    }

    /// Reads anew, together with others who ask for the same.
    ///
    /// - Throws: `RefreshFailure`; `LoopError` `tooLarge` when too many wait.
    func refresh(_ scope: Scope, for trigger: Int64) async throws -> Outcome {
        switch scope {
        case .hotels, .roomTypes: try await catalogue(scope, trigger)
        case .availability: try await availability(scope, trigger)
        }
    }

    private func perform(_ scope: Scope, for triggers: [Int64]) async throws -> Outcome {
        let started = Loop.monotonicNanoseconds
        await self.triggers.begin(triggers)
        fetches[scope.kind]?.increment()
        do {
            var outcome = try await carryOut(scope)
            // Where nothing at all could be read, the trigger has failed.
            if let failure = outcome.failures.first, outcome.change == CatalogueChange() {
                throw RefreshFailure("hotel \(failure.hotel): \(failure.reason)")
            }
            outcome.milliseconds = Int((Loop.monotonicNanoseconds - started) / 1_000_000)
            await self.triggers.end(triggers, scope.kind, outcome)
            Log.info(
                "cache refreshed",
                [
                    "cache": .init(scope.kind.rawValue), "updated": .init(outcome.change.updated),
                    "removed": .init(outcome.change.removed), "unchanged": .init(outcome.change.unchanged),
                    "failed": .init(outcome.failures.count), "milliseconds": .init(outcome.milliseconds),
                ])
            return outcome
        } catch {
            let failure = RefreshFailure(error)
            await self.triggers.fail(triggers, scope.kind, failure)
            Log.warning("cache not refreshed", ["cache": .init(scope.kind.rawValue), "error": .init(error: error)])
            throw failure
        }
    }

    private func carryOut(_ scope: Scope) async throws -> Outcome {
        switch scope {
        case .hotels(let hotels): try await updateHotels(hotels, readings: Self.readings)
        case .roomTypes(let hotels): try await updateOffers(hotels, readings: Self.readings)
        case .availability(let hotel, let type, let nights): try await recount(hotel, type, nights)
        }
    }

    // MARK: Hotels

    private func updateHotels(_ asked: Set<Int32>?, readings: Int) async throws -> Outcome {
        let since = try await directory.store.version()
        let present = try await directory.pms.hotelIDs()
        let known = Set(directory.entries.keys).union(directory.gaps.keys)
        let unknown = (asked ?? []).subtracting(present).subtracting(known)
        guard unknown.isEmpty else { throw RefreshFailure(unknownHotels: unknown) }
        let wanted = asked.map { asked in present.filter(asked.contains) } ?? present
        var outcome = Outcome()
        var read: [Int32: Hotel] = [:]
        for part in wanted.parts(ofAtMost: HotelDirectory.batch) {
            let reading = try await directory.pms.hotels(part)
            for (id, fault) in reading.unreadable { outcome.failures.append((id, fault.publicReason)) }
            read.merge(reading.found) { $1 }
        }
        let now = Instant.now
        var overtaken: Set<Int32> = []
        for id in wanted {
            guard let hotel = read[id] else { continue }
            do { try await keep(hotel, now, since, &outcome) } catch is CatalogueStore.Overtaken {
                overtaken.insert(id)
            }
        }
        for id in (asked ?? known).intersection(known).subtracting(present) {
            do { try await retire(id, now, since, &outcome) } catch is CatalogueStore.Overtaken {
                overtaken.insert(id)
            } catch let error as LoopError where error.isOfLine {
                outcome.failures.append((id, Self.busy))
            }
        }
        if asked == nil {
            try await directory.store.save(order: present)
            directory.setOrder(present)
        }
        for id in read.keys { directory.entries[id]?.hotelReadAt = now.unixTime }
        try await directory.store.noteRead(.hotels, of: Array(read.keys), at: now)
        if !overtaken.isEmpty {
            outcome +=
                readings > 1
                ? try await updateHotels(overtaken, readings: readings - 1)
                : Outcome(failures: overtaken.sorted().map { ($0, Self.overtaken) })
        }
        return outcome
    }

    private func keep(_ hotel: Hotel, _ now: Instant, _ since: Int64, _ outcome: inout Outcome) async throws {
        guard let entry = directory.entries[hotel.id] else { return try await admit(hotel, since, &outcome) }
        var cached = entry.hotel
        guard cached.take(hotel, at: now) else {
            outcome.change.unchanged += 1
            return
        }
        let returns = !entry.hotel.isActive
        try await save(entry, cached, nil, since)
        entry.take(cached)
        directory.listChanged()
        outcome.change.updated += 1
        // One that the PMS had no longer comes back with what it sells.
        if returns {
            if !directory.order.contains(hotel.id) { directory.setOrder(directory.order + [hotel.id]) }
            outcome += try await updateOffers([hotel.id], readings: Self.readings)
        }
    }

    /// A hotel that is new, or could not be read so far, comes with everything it sells.
    private func admit(_ hotel: Hotel, _ since: Int64, _ outcome: inout Outcome) async throws {
        let offers = try await directory.pms.offers(of: [hotel.id])
        guard let offer = offers.found[hotel.id] else {
            if let fault = offers.unreadable[hotel.id] { outcome.failures.append((hotel.id, fault.publicReason)) }
            return
        }
        try await directory.admit(hotel.id, CachedHotel(hotel), CachedOffer(offer), readSince: since)
        // What cannot be counted now is tried again by itself; it is not sold before.
        do {
            try await directory.count([hotel.id])
            // Not in its turn: a booking that came meanwhile may be missing.
            directory.distrust(hotel.id)
        } catch {
            Log.warning("new hotel not counted yet", ["hotel_id": .init(hotel.id), "error": .init(error: error)])
        }
        outcome.change.updated += 1
    }

    /// The PMS has the hotel no longer.
    private func retire(_ id: Int32, _ now: Instant, _ since: Int64, _ outcome: inout Outcome) async throws {
        guard let entry = directory.entries[id], try await directory.store.isLinked(id) else {
            try await directory.store.remove(id)
            directory.remove(id)
            outcome.change.removed += 1
            return
        }
        var hotel = entry.hotel
        guard hotel.retire(at: now) else {
            outcome.change.unchanged += 1
            return
        }
        try await entry.turnstile.pass {
            var offer = entry.offer
            let linked = try await directory.store.linked(offer.roomTypes.map(\.type.id), of: id)
            offer.retire(keeping: linked, at: now)
            try await save(entry, hotel, offer, since)
            directory.take(id, hotel, offer, images: nil, readAt: (now.unixTime, now.unixTime))
        }
        directory.setOrder(directory.order.filter { $0 != id })
        outcome.change.updated += 1
    }

    // MARK: What hotels sell

    private func updateOffers(_ asked: Set<Int32>?, readings: Int) async throws -> Outcome {
        let wanted = directory.order.filter { asked?.contains($0) ?? true }
        var outcome = Outcome()
        var changed: [Int32: (offer: HotelOffer, since: Int64)] = [:]
        var read: [Int32] = []
        for part in wanted.parts(ofAtMost: HotelDirectory.batch) {
            let since = try await directory.store.version()
            let reading = try await directory.pms.offers(of: part)
            for (id, fault) in reading.unreadable { outcome.failures.append((id, fault.publicReason)) }
            for (id, offer) in reading.found {
                guard let entry = directory.entries[id] else { continue }
                read.append(id)
                var cached = entry.offer
                let change = cached.take(offer, keeping: Set(cached.types(goneFrom: offer)), at: .now)
                // Types that are kept for a booking may be free to go.
                if change.isAny || !entry.offer.types(goneFrom: offer).isEmpty {
                    changed[id] = (offer, since)
                } else {
                    outcome.change += change
                }
            }
        }
        var overtaken: Set<Int32> = []
        for id in wanted {
            guard let (offer, since) = changed[id], let entry = directory.entries[id] else { continue }
            do { try await keep(offer, of: entry, since, &outcome) } catch is CatalogueStore.Overtaken {
                overtaken.insert(id)
            }
        }
        let now = Instant.now
        for id in read { directory.entries[id]?.offerReadAt = now.unixTime }
        try await directory.store.noteRead(.roomTypes, of: read, at: now)
        if !overtaken.isEmpty {
            outcome +=
                readings > 1
                ? try await updateOffers(overtaken, readings: readings - 1)
                : Outcome(failures: overtaken.sorted().map { ($0, Self.overtaken) })
        }
        return outcome
    }

    /// Writes down and takes over what a hotel sells, and counts what is free of it, while none of its rooms is booked.
    private func keep(
        _ offer: HotelOffer, of entry: HotelEntry, _ since: Int64, _ outcome: inout Outcome
    ) async throws {
        do {
            outcome.change += try await entry.turnstile.pass {
                let now = Instant.now
                var cached = entry.offer
                let linked = try await directory.store.linked(cached.types(goneFrom: offer), of: entry.id)
                let change = cached.take(offer, keeping: linked, at: now)
                guard cached.sellsOtherRooms(than: entry.offer) else {
                    try await save(entry, nil, cached, since)
                    entry.take(cached)
                    return change
                }
                let occupancy = try await directory.occupancy(of: entry, isSettled: true)
                try await save(entry, nil, cached, since)
                entry.take(cached)
                directory.take(occupancy, of: entry)
                return change
            }
        } catch let error as LoopError where error.isOfLine {
            outcome.failures.append((entry.id, Self.busy))
        } catch let error as PostgresError {
            guard let fault = Fault(inBooking: error, hotel: entry.id) else { throw error }
            outcome.failures.append((entry.id, fault.publicReason))
        }
    }

    private func save(
        _ entry: HotelEntry, _ hotel: CachedHotel?, _ offer: CachedOffer?, _ since: Int64
    ) async throws {
        let position = directory.order.firstIndex(of: entry.id) ?? directory.order.count
        let new = HotelDocuments(hotel ?? entry.hotel, offer ?? entry.offer)
        var events = new.roomType.sorted { $0.key < $1.key }.filter { entry.documents.roomType[$0.key] != $0.value }
            .map { EntityEvent.roomType($0.key, of: entry.id, $0.value.content) }
        if new.hotel != entry.documents.hotel { events.append(.hotel(entry.id, new.hotel.content)) }
        try await directory.store.save([(entry.id, position, hotel, offer)], readSince: since, telling: events)
    }

    // MARK: What is free

    private func recount(_ hotel: Int32, _ type: Int32?, _ nights: Range<Day>?) async throws -> Outcome {
        guard let entry = directory.entries[hotel] else { throw RefreshFailure(unknownHotels: [hotel]) }
        let change = try await entry.turnstile.pass { try await recount(entry, type, nights) }
        if type == nil, nights == nil {
            try await directory.store.noteRead(.availability, of: [hotel], at: .now)
        }
        // The others read it anew.
        try await directory.store.announceAvailability(of: hotel)
        return Outcome(change: change)
    }

    /// In the hotel's turnstile: no booking of ours is under way here while its rooms are counted.
    private func recount(_ entry: HotelEntry, _ type: Int32?, _ nights: Range<Day>?) async throws -> CatalogueChange {
        entry.rollWindow()
        // Counts of a vendor are told of whole hotels alone.
        let isOfRooms = entry.availability.allotments == nil
        guard entry.isCounted, isOfRooms, type != nil || nights != nil else {
            let before = entry.availability.rooms
            directory.take(try await directory.occupancy(of: entry, isSettled: true), of: entry)
            let rooms = entry.availability.rooms
            let flipped = rooms.difference(from: before)
            return CatalogueChange(updated: flipped, unchanged: rooms.roomNightCount - flipped)
        }
        let rooms = type.map { type in entry.offer.rooms.filter { $0.type == type }.map(\.id) }
        let nights = (nights ?? entry.availability.window).clamped(to: entry.availability.window)
        let taken = try await directory.pms.takenNights(of: entry.id, rooms: rooms, nights: nights)
        let flipped = entry.replaceIndex(rooms: rooms, nights: nights, taken, ofType: type)
        // Of which types the nights without a room are, only a reading of the whole hotel tells.
        if rooms == nil { directory.distrust(entry.id) } else if flipped > 0 { directory.availabilityRead(entry.id) }
        let count = (rooms?.count ?? entry.offer.rooms.count) * nights.count
        return CatalogueChange(updated: flipped, unchanged: max(0, count - flipped))
    }
}

/// Why nothing could be read anew. Everything is as it was, but for hotels that were dealt with before.
struct RefreshFailure: Error {
    /// In words that may be shown to anybody.
    let reason: String
    /// Hotels that neither the PMS nor the cache has.
    var unknownHotels: Set<Int32> = []

    init(_ reason: String) { self.reason = reason }

    init(unknownHotels: Set<Int32>) {
        reason = "there is no such hotel"
        self.unknownHotels = unknownHotels
    }

    init(_ error: any Error) {
        if let failure = error as? RefreshFailure {
            self = failure
            return
        }
        let code = (error as? PostgresError)?.code
        reason =
            switch code {
            case .unavailable, .connectionLost, .tooManyWaiters: "the property management system cannot be reached"
            case .timedOut: "the property management system did not answer in time"
            case .decoding: "what the property management system has cannot be read"
            case .sql(let state) where state.hasPrefix("42"):
                "the property management system lacks a table, a column, or a right for the bridge (\(state))"
            case .sql(let state): "the property management system answered with an error (\(state))"
            default:
                error is LoopError
                    ? "the hotel is too busy with bookings" : "the refresh was given up"
            }
    }
}

extension Fault {
    /// In words that may be shown to anybody.
    var publicReason: String { "the rows in \(table) cannot be read" }
}
