internal import Availability
internal import Booking
internal import Catalogue
internal import HotelTime
internal import Lifecycle
internal import Loop
internal import PMS
internal import Policy
internal import Postgres
internal import Stay
internal import Telemetry

/// Every hotel in memory: what it is and sells, and which rooms are free.
///
/// A hotel of which something cannot be read is kept out of what needs it, with the reason, and tried again until it can be:
/// its rooms are not sold, and the other hotels do not notice.
@OnLoop
final class HotelDirectory {
    /// The most hotels that are read in one round trip.
    static let batch = 50

    let policy: BridgePolicy
    let pms: any PMSAdapter
    let store: CatalogueStore
    let restrictions: RestrictionStore
    let archive: AvailabilityStore

    /// The hotels whose catalogue is known.
    var entries: [Int32: HotelEntry] = [:]
    /// Those of which something is not known: the catalogue, where they have no entry, or else what is free.
    var gaps: [Int32: Gap] = [:]
    /// The PMS's hotels in its order.
    var order: [Int32] = []
    var isLoaded = false
    /// What was said to be wrong with hotels since none of them could be read.
    var reasons: Set<Fault> = []
    let readable = Signal()

    /// What hotels have set, by hotel.
    var terms: [Int32: SaleTerms] = [:]

    /// How what is free is kept fresh.
    let freshness: Freshness
    var unread = LogThrottle()
    var unfollowed = LogThrottle()

    /// How often memory had what was asked for.
    let use = CacheUse()

    /// Called when a reading has ended by which subscribers may have to look anew what is free at a hotel: one that has found a
    /// change, or one that was asked for because it was not known what had changed.
    var availabilityRead: @OnLoop (Int32) -> Void = { _ in }

    /// The list of all hotels, until one of them changes.
    private var list: Document?

    init(_ policy: BridgePolicy, _ pms: any PMSAdapter, _ database: Database) {
        self.policy = policy
        self.pms = pms
        store = CatalogueStore(database, policy.availability)
        restrictions = RestrictionStore(database)
        archive = AvailabilityStore(database)
        freshness = Freshness(
            timeToLive: policy.availability.timeToLive,
            ConnectionShare(percent: policy.availability.refreshShare, of: policy.database.poolSize))
        Metrics.gauge("drawbridge_bridge_hotels", "Hotels in memory.") { [unowned self] in Double(entries.count) }
        Metrics.gauge(
            "drawbridge_bridge_unreadable_hotels", "Hotels left out because the PMS's rows of them cannot be read."
        ) { [unowned self] in Double(gaps.count) }
        Metrics.gauge(
            "drawbridge_bridge_unassigned_nights", "Nights taken today without a room, in all hotels."
        ) { [unowned self] in
            Double(entries.values.reduce(0) { $0 + Int($1.availability.rooms.unassigned(on: $1.today)) })
        }
    }

    var count: Int { entries.count }

    /// Why nothing can be answered; nil when something can, or when the PMS has no hotel.
    var unreadiness: String? {
        if !isLoaded { return "the hotels are not loaded yet" }
        return entries.isEmpty && !gaps.isEmpty ? "none of the hotels can be read" : nil
    }

    /// Waits, once the hotels are loaded, until one of them can be read, if there is any.
    func waitUntilReadable() async throws {
        while unreadiness != nil { try await readable.wait() }
    }

    // MARK: Finding hotels

    /// All hotels in the PMS's order, but for those that cannot be read.
    var all: [HotelEntry] { order.compactMap { entries[$0] } }

    /// All of them as they are listed.
    var listed: Document {
        if let list { return list }
        let made = HotelDocuments.list(all.map(\.documents.hotel))
        list = made
        return made
    }

    /// A hotel that is described has changed, came or went.
    func listChanged() { list = nil }

    /// A hotel that can be sold; nil when there is none of this id.
    ///
    /// - Throws: `BridgeError.unreadableHotel`.
    func hotel(_ id: Int32) throws -> HotelEntry? {
        if let gap = gaps[id] { throw BridgeError.unreadableHotel(retryAfter: gap.secondsToNextAttempt) }
        return entries[id]
    }

    /// A hotel of which it is known what is free, or was known when it could be read last; nil when there is none of this id.
    ///
    /// - Throws: `BridgeError.unreadableHotel`.
    func counted(_ id: Int32) throws -> HotelEntry? {
        if let entry = entries[id], entry.isCounted { return entry }
        return try hotel(id)
    }

    /// A hotel whose catalogue is known, whether or not it is known what is free; nil when there is none of this id.
    ///
    /// - Throws: `BridgeError.unreadableHotel`.
    func described(_ id: Int32) throws -> HotelEntry? {
        if let entry = entries[id] { return entry }
        if let gap = gaps[id] { throw BridgeError.unreadableHotel(retryAfter: gap.secondsToNextAttempt) }
        return nil
    }

    /// Whether there is such a hotel, readable or not.
    func isKnown(_ id: Int32) -> Bool { entries[id] != nil || gaps[id] != nil }

    /// The ids of all hotels of which something is known, readable, sold or not: those with bookings are among them.
    var everyID: [Int32] { Array(Set(entries.keys).union(gaps.keys)) }

    /// The day it is at a hotel, whether it can be read or not.
    func today(_ hotel: Int32) -> Day { clock(hotel).today(at: Loop.unixSeconds) ?? .first }

    /// The configuration was checked: there is such a time zone.
    func clock(_ hotel: Int32) -> HotelClock { HotelClock(timeZone: policy.hotel(hotel).timeZone)! }

    // MARK: Hotels that come, change and go

    /// A hotel's catalogue as it is known now; what is free is still to be read if it is new or sells other rooms.
    func take(
        _ id: Int32, _ hotel: CachedHotel, _ offer: CachedOffer, images: [HotelImage]?,
        readAt: (hotel: Double, offer: Double)
    ) {
        listChanged()
        if let entry = entries[id] {
            let mustCount = offer.sellsOtherRooms(than: entry.offer)
            entry.take(hotel)
            entry.take(offer)
            if let images { entry.take(images) }
            (entry.hotelReadAt, entry.offerReadAt) = readAt
            if mustCount { mustRecount(entry) }
        } else {
            let entry = HotelEntry(
                hotel, offer, images: images ?? [], policy, clock: clock(id), readAt: readAt)
            entry.take(terms[id] ?? .none)
            entry.unassignedChanged = { [unowned self] in distrust(id) }
            entries[id] = entry
            mustRecount(entry)
            readable.fire()
        }
    }

    /// What is free at the hotel is to be read at once; until then it is not sold.
    private func mustRecount(_ entry: HotelEntry) {
        guard entry.hotel.isActive else {
            // Nothing of it is for sale: that is known.
            entry.replaceIndex(.rooms(TakenNights(nights: [], undatedRooms: [])), [])
            gaps[entry.id] = nil
            return
        }
        entry.forgetIndex()
        gaps[entry.id] = Gap(Fault(hotel: entry.id, table: "reservation_details", reason: "not read yet"), isDue: true)
    }

    /// It is known what is free at a hotel.
    func take(_ reading: OccupancyReading, of entry: HotelEntry) {
        // One that went and came back meanwhile has been asked for anew.
        guard entries[entry.id] === entry else { return }
        entry.rollWindow()
        let known = entry.known
        entry.replaceIndex(reading.occupancy, reading.roomless)
        gaps[entry.id] = nil
        if let known, known != entry.known { availabilityRead(entry.id) }
    }

    /// Neither the PMS nor the cache has it any more.
    func remove(_ id: Int32) {
        entries[id] = nil
        gaps[id] = nil
        order.removeAll { $0 == id }
        listChanged()
    }

    /// The PMS's hotels in its order.
    func setOrder(_ ids: [Int32]) {
        order = ids
        listChanged()
    }

    /// Runs `body` when it is its turn to change the hotel's rooms; at once for a hotel that is not in memory.
    ///
    /// - Parameter patience: how long it waits in a line, unless as long as that allows.
    func inTurn<Output>(
        _ hotel: Int32, patience: () throws -> Duration? = { nil }, _ body: @OnLoop (HotelEntry?) async throws -> Output
    ) async throws -> Output {
        while let entry = entries[hotel] {
            let outcome: Output? = try await entry.turnstile.pass(patience: try patience()) {
                // One that went and came back meanwhile has another line.
                entries[hotel] === entry ? .some(try await body(entry)) : .none
            }
            if let outcome { return outcome }
        }
        return try await body(nil)
    }
}

/// How often memory had what was asked for, and how often it had not.
@OnLoop
struct CacheUse {
    /// Of one cache.
    @OnLoop
    struct Tally {
        let hits: Counter
        let misses: Counter

        fileprivate init(_ kind: CacheKind) {
            hits = Metrics.counter(
                "drawbridge_bridge_cache_hits_total", "Requests that memory had the answer to.",
                [("cache", kind.rawValue)])
            misses = Metrics.counter(
                "drawbridge_bridge_cache_misses_total", "Requests that memory lacked the answer to.",
                [("cache", kind.rawValue)])
        }

        /// Hits of all, in thousandths; nil while nothing was asked for.
        var hitsPerThousand: Int? {
            let all = hits.value + misses.value
            return all == 0 ? nil : Int(hits.value * 1000 / all)
        }
    }

    let hotels = Tally(.hotels)
    let roomTypes = Tally(.roomTypes)
    let availability = Tally(.availability)

    func of(_ kind: CacheKind) -> Tally {
        switch kind {
        case .hotels: hotels
        case .roomTypes: roomTypes
        case .availability: availability
        }
    }
}

/// A hotel of which something is not known, and when it is tried again.
@OnLoop
struct Gap {
    private(set) var fault: Fault
    /// Whether the log says why.
    var isReported = false
    private var backoff = Backoff(initial: .seconds(1), maximum: .seconds(60))
    private var nextAttempt: UInt64 = 0

    /// - Parameter isDue: whether it is to be tried at once.
    init(_ fault: Fault, isDue: Bool = false) {
        self.fault = fault
        if !isDue { postpone() }
    }

    var isDue: Bool { Loop.monotonicNanoseconds >= nextAttempt }

    var secondsToNextAttempt: Int {
        let now = Loop.monotonicNanoseconds
        return Int((max(now, nextAttempt) - now) / 1_000_000_000) + 1
    }

    /// It was tried again in vain.
    mutating func failed(_ fault: Fault) {
        if fault != self.fault { isReported = false }
        self.fault = fault
        postpone()
    }

    /// Not before a while, longer each time, is it tried again.
    mutating func postpone() {
        let delay = backoff.delay(afterRunningFor: .zero, chance: .random(in: 0..<1))
        nextAttempt = Loop.monotonicNanoseconds + delay.nanoseconds
    }
}

extension [Int32] {
    /// Parts of about the same size, so that none is left alone: a hotel that takes too long is told by the others of its
    /// part that do not.
    func parts(ofAtMost bound: Int) -> [[Int32]] {
        let number = (count + bound - 1) / bound
        return (0..<number).map { Array(self[count * $0 / number..<count * ($0 + 1) / number]) }
    }
}
