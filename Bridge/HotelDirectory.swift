internal import Availability
internal import Lifecycle
internal import Loop
internal import PMS
internal import Policy
internal import Stay
internal import Telemetry

/// Every hotel in memory: what it sells, and which rooms are free.
///
/// A hotel of which something cannot be read is kept out, with the reason, and tried again until it can be: its rooms
/// are not sold, and the other hotels do not notice.
@OnLoop
final class HotelDirectory {
    /// How long an index counts as fresh.
    static let timeToLive = Duration.seconds(15 * 60)

    /// The most hotels that are read in one round trip.
    private static let batch = 50

    /// How often it looks for hotels to be tried again.
    private static let recoveryInterval = Duration.seconds(1)

    private let policy: BridgePolicy
    private let pms: RhtHotel
    private var entries: [Int32: HotelEntry] = [:]
    private var unreadable: [Int32: UnreadableHotel] = [:]
    private var order: [Int32] = []
    private var isLoaded = false
    /// What was said to be wrong with hotels since none of them could be read.
    private var reasons: Set<Fault> = []
    private let readable = Signal()

    /// Hotels to be read anew out of turn, the one longest in doubt first.
    private var doubtful: [Int32] = []
    private let doubt = Signal()
    private var unread = LogThrottle()

    init(_ policy: BridgePolicy, _ pms: RhtHotel) {
        self.policy = policy
        self.pms = pms
        Metrics.gauge("drawbridge_bridge_hotels", "Hotels in memory.") { [unowned self] in Double(entries.count) }
        Metrics.gauge(
            "drawbridge_bridge_unreadable_hotels", "Hotels left out because the PMS's rows of them cannot be read."
        ) { [unowned self] in Double(unreadable.count) }
        Metrics.gauge(
            "drawbridge_bridge_unassigned_nights", "Nights taken today without a room, in all hotels."
        ) { [unowned self] in Double(entries.values.reduce(0) { $0 + Int($1.index.unassigned(on: $1.today)) }) }
    }

    var count: Int { entries.count }

    /// Why nothing can be sold; nil when something can, or when the PMS has no hotel.
    var unreadiness: String? {
        if !isLoaded { return "the hotels are not loaded yet" }
        return entries.isEmpty && !unreadable.isEmpty ? "none of the hotels can be read" : nil
    }

    /// Waits, once the hotels are loaded, until one of them can be read, if there is any.
    func waitUntilReadable() async throws {
        while unreadiness != nil { try await readable.wait() }
    }

    /// All hotels in the PMS's order, but for those that cannot be read.
    var all: [HotelEntry] { order.compactMap { entries[$0] } }

    /// A hotel; nil when the PMS has none of this id.
    ///
    /// - Throws: `BridgeError.unreadableHotel`.
    func hotel(_ id: Int32) throws -> HotelEntry? {
        if let hotel = unreadable[id] { throw BridgeError.unreadableHotel(retryAfter: hotel.secondsToNextAttempt) }
        return entries[id]
    }

    /// The day it is at a hotel, whether it can be read or not.
    func today(_ hotel: Int32) -> Day { clock(hotel).today(at: Loop.unixSeconds) ?? .first }

    // MARK: Loading

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
            [
                "hotels": .init(entries.count), "unreadable": .init(unreadable.count),
                "milliseconds": .init((Loop.monotonicNanoseconds - started) / 1_000_000),
            ])
    }

    private func loadOnce() async throws {
        let ids = try await pms.hotelIDs()
        var entries: [Int32: HotelEntry] = [:]
        var unreadable: [Int32: Fault] = [:]
        var faults: Set<Fault> = []
        for batch in ids.parts(ofAtMost: Self.batch) {
            let reading = try await read(batch)
            for hotel in reading.hotels { entries[hotel.catalogue.hotel.id] = entry(hotel.catalogue, hotel.taken) }
            unreadable.merge(reading.unreadable) { $1 }
            faults.formUnion(reading.faults)
        }
        self.entries = entries
        self.unreadable = unreadable.mapValues { UnreadableHotel($0) }
        order = ids
        reasons = []
        if unreadable.count > 0, entries.isEmpty { reportAll(unreadable) }
        for id in ids { report(id) }
        for fault in faults { Log.warning("not all of the PMS can be sold", fault.fields) }
    }

    private func read(_ ids: [Int32]) async throws -> Reading {
        let today = ids.map(today).min() ?? .first
        return try await pms.read(ids, from: today)
    }

    private func entry(_ catalogue: HotelCatalogue, _ taken: TakenNights) -> HotelEntry {
        HotelEntry(catalogue, policy, clock: clock(catalogue.hotel.id), taken: taken)
    }

    /// The configuration was checked: there is such a time zone.
    private func clock(_ hotel: Int32) -> HotelClock { HotelClock(timeZone: policy.hotel(hotel).timeZone)! }

    /// Tries unreadable hotels again, each at its time, until the task is cancelled.
    func recover() async {
        while !Task.isCancelled {
            do { try await Loop.sleep(for: Self.recoveryInterval) } catch { return }
            for (id, hotel) in unreadable where hotel.isDue {
                do { try await tryAgain(id) } catch {
                    // The database is away, which its own log says, or does not come to an end with this hotel: asking
                    // again each second would only add to its load.
                    unreadable[id]?.postpone()
                    Log.debug("hotel not tried again", ["hotel_id": .init(id), "error": .init(error: error)])
                }
            }
        }
    }

    private func tryAgain(_ id: Int32) async throws {
        let reading = try await read([id])
        if let fault = reading.unreadable[id] {
            unreadable[id]?.failed(fault)
            report(id)
        } else {
            unreadable[id] = nil
            for hotel in reading.hotels { entries[id] = entry(hotel.catalogue, hotel.taken) }
            readable.fire()
            Log.info(
                reading.hotels.isEmpty ? "unreadable hotel is gone" : "hotel can be read again",
                ["hotel_id": .init(id)])
            for fault in reading.faults where fault.hotel == id {
                Log.warning("not all of the PMS can be sold", fault.fields)
            }
        }
    }

    /// Says that nothing can be sold: something is wrong with the database or our rights in it, most likely, not with
    /// each of the hotels.
    private func reportAll(_ faults: [Int32: Fault]) {
        guard let fault = order.lazy.compactMap({ faults[$0] }).first else { return }
        reasons.insert(fault.ofAll)
        Log.error(
            "no hotel can be read",
            ["hotels": .init(faults.count), "table": .init(fault.table), "reason": .init(fault.reason)])
    }

    /// Says why a hotel is not sold, unless that was said: of the hotel or, while none can be read, of another one.
    private func report(_ id: Int32) {
        guard let hotel = unreadable[id], !hotel.isReported else { return }
        if entries.isEmpty, !reasons.insert(hotel.fault.ofAll).inserted { return }
        unreadable[id]?.isReported = true
        Log.warning("hotel cannot be read and is not sold", hotel.fault.fields)
    }

    // MARK: Keeping fresh

    /// Reads one hotel after the other anew, so that each is fresh and the PMS sees an even trickle of queries; first
    /// those that somebody is in doubt about. One of these that cannot be read goes to the end of their line, and the
    /// others, in doubt or not, have their turns before it is tried again.
    func keepFresh() async {
        var next = 0
        var mayDoubt = true
        while !Task.isCancelled {
            if doubtful.isEmpty || !mayDoubt {
                do { try await pauseBeforeNext() } catch { return }
            }
            let inDoubt = mayDoubt && !doubtful.isEmpty ? doubtful.removeFirst() : nil
            mayDoubt = true
            guard let id = inDoubt ?? order[cyclic: next] else { continue }
            if inDoubt == nil { next += 1 }
            guard let entry = entries[id] else { continue }
            do { try await refresh(entry, isInDoubt: inDoubt != nil) } catch {
                if Task.isCancelled { return }
                if inDoubt != nil {
                    noteDoubt(id)
                    mayDoubt = false
                }
                guard let omitted = unread.admit(at: Loop.monotonicNanoseconds) else { continue }
                Log.warning(
                    "hotel not refreshed",
                    ["hotel_id": .init(id), "error": .init(error: error), "lines_omitted": .init(omitted)])
            }
        }
    }

    /// Waits until the next hotel is to be read, or one comes in doubt.
    private func pauseBeforeNext() async throws {
        let pause = Self.timeToLive / (2 * max(1, order.count))
        let deadline = Deadline { self.doubt.fire() }
        deadline.set(doubtful.isEmpty ? pause : min(pause, .seconds(1)))
        defer { deadline.cancel() }
        try await doubt.wait()
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
        noteDoubt(hotel)
        doubt.fire()
    }

    private func noteDoubt(_ hotel: Int32) {
        if !doubtful.contains(hotel) { doubtful.append(hotel) }
    }

    /// Replaces a hotel's index by what the PMS says now. No booking of ours is under way meanwhile, so what was read
    /// holds each of them or none.
    private func refresh(_ entry: HotelEntry, isInDoubt: Bool) async throws {
        try await entry.turnstile.pass {
            entry.replaceIndex(
                try await pms.takenNights(of: entry.id, from: entry.today, isInDoubt: isInDoubt))
        }
    }
}

/// A hotel of which something cannot be read, and when it is tried again.
@OnLoop
private struct UnreadableHotel {
    private(set) var fault: Fault
    /// Whether the log says why.
    var isReported = false
    private var backoff = Backoff(initial: .seconds(1), maximum: .seconds(60))
    private var nextAttempt: UInt64 = 0

    init(_ fault: Fault) {
        self.fault = fault
        postpone()
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

extension Fault {
    /// The same, of no hotel in particular.
    fileprivate var ofAll: Fault { Fault(hotel: nil, table: table, reason: reason) }

    /// What the log says of it: nothing that a guest may have typed.
    fileprivate var fields: KeyValuePairs<StaticString, Log.Value> {
        guard let hotel else { return ["table": .init(table), "reason": .init(reason)] }
        return ["hotel_id": .init(hotel), "table": .init(table), "reason": .init(reason)]
    }
}

extension [Int32] {
    /// The element at an index that starts over at the end; nil in an empty array.
    fileprivate subscript(cyclic index: Int) -> Int32? { isEmpty ? nil : self[index % count] }

    /// Parts of about the same size, so that none is left alone: a hotel that takes too long is told by the others of
    /// its part that do not.
    fileprivate func parts(ofAtMost bound: Int) -> [[Int32]] {
        let number = (count + bound - 1) / bound
        return (0..<number).map { Array(self[count * $0 / number..<count * ($0 + 1) / number]) }
    }
}
