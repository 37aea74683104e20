internal import Booking
internal import Catalogue
internal import Loop
internal import PMS
internal import Policy
internal import Postgres
internal import Stay
internal import Telemetry

// How hotels come into memory: from what was written down of them or, the first time, from the PMS.
extension HotelDirectory {
    /// How often it looks for hotels to be tried again.
    private static let recoveryInterval = Duration.seconds(1)

    /// How often it looks for what other bridges have changed.
    private static let followInterval = Duration.milliseconds(500)

    /// How long a start waits to learn what is free, in deadlines of a statement: one for the hotels of a batch together, and
    /// for some of them that turn out to be locked. What is not known then is told to nobody before it is known.
    private static let countingDeadlines = 5

    /// Makes the hotels known, and what is free; tries again until it succeeds or the task is cancelled.
    ///
    /// - Returns: whether the PMS was asked what the hotels are, for nothing had been written down.
    func load() async throws -> Bool {
        let started = Loop.monotonicNanoseconds
        let isFirst: Bool
        while true {
            do {
                isFirst = try await loadOnce()
                break
            } catch is CancellationError {
                throw CancellationError()
            } catch {
                Log.warning("hotels not loaded yet", ["error": .init(error: error)])
                try await Loop.sleep(for: .seconds(1))
            }
        }
        await restore()
        isLoaded = true
        do {
            let patience = policy.database.statementDeadline * Self.countingDeadlines
            try await Loop.withDeadline(patience, "count free rooms") { try await self.count(self.order) }
        } catch is CancellationError {
            throw CancellationError()
        } catch {
            Log.warning("it is not known yet what is free", ["error": .init(error: error)])
        }
        Log.info(
            "hotels loaded",
            [
                "hotels": .init(entries.count), "unreadable": .init(gaps.count),
                "milliseconds": .init((Loop.monotonicNanoseconds - started) / 1_000_000),
            ])
        return isFirst
    }

    private func loadOnce() async throws -> Bool {
        try await catchUpWithTerms()
        var snapshot = try await store.snapshot()
        var faults: [Int32: Fault] = [:]
        let isFirst = !snapshot.isFilled
        if isFirst {
            faults = try await fill(knowing: snapshot.rows.count)
            snapshot = try await store.snapshot()
        }
        for row in snapshot.rows { adopt(row, faults[row.id]) }
        store.note(snapshot.version)
        setOrder(snapshot.rows.map(\.id).filter { entries[$0]?.hotel.isActive ?? true })
        reasons = []
        let unknown = gaps.filter { entries[$0.key] == nil }
        if !unknown.isEmpty, entries.isEmpty { reportAll(unknown.mapValues(\.fault)) }
        for id in unknown.keys.sorted() { report(id) }
        return isFirst
    }

    private func adopt(_ row: CatalogueStore.Row, _ fault: Fault?) {
        guard let content = row.content, let hotel = content.hotel, let offer = content.offer else {
            let fault = fault ?? Fault(hotel: row.id, table: "hotels", reason: "could not be read yet")
            gaps[row.id] = Gap(fault)
            return
        }
        take(row.id, hotel, offer, images: content.images, readAt: row.readAt)
    }

    /// Reads everything from the PMS and writes it down.
    ///
    /// - Parameter count: hotels that are written down already, in whatever form.
    /// - Returns: the hotels that could not be read.
    private func fill(knowing count: Int) async throws -> [Int32: Fault] {
        let ids = try await pms.hotelIDs()
        guard !ids.isEmpty || count == 0 else { throw NoHotels() }
        let positions = Dictionary(
            ids.enumerated().map { ($0.element, $0.offset) }, uniquingKeysWith: { first, _ in first })
        let readings = try await inBatches(ids) { [self] part in
            let hotels = try await pms.hotels(part)
            let offers = try await pms.offers(of: part)
            try await store.save(
                part.map { id in
                    let hotel = hotels.found[id].map { CachedHotel($0) }
                    return (id, positions[id] ?? 0, hotel, offers.found[id].map { CachedOffer($0) })
                }, readSince: .max)
            return (hotels.unreadable.merging(offers.unreadable) { first, _ in first }, offers.faults)
        }
        let unreadable = readings.reduce(into: [:]) { all, reading in all.merge(reading.0) { first, _ in first } }
        let faults = Set(readings.flatMap(\.1))
        try await store.markFilled(with: ids)
        let read = ids.filter { unreadable[$0] == nil }
        let now = Instant(microseconds: Int64(Loop.unixTime * 1_000_000))
        try await store.noteRead(.hotels, of: read, at: now)
        try await store.noteRead(.roomTypes, of: read, at: now)
        for fault in faults { Log.warning("not all of the PMS can be sold", fault.fields) }
        return unreadable
    }

    /// Reads what is free at some hotels.
    func count(_ ids: [Int32]) async throws {
        _ = try await inBatches(ids.filter { entries[$0] != nil }) { [self] part in try await countTogether(part) }
    }

    private func countTogether(_ ids: [Int32]) async throws {
        let reading = try await pms.occupancy(of: ids, from: ids.map(today).min() ?? .first)
        for (id, occupancy) in try await readings(reading.found) {
            if let entry = entries[id] { take(occupancy, of: entry) }
        }
        for (id, fault) in reading.unreadable {
            gaps[id]?.failed(fault)
            report(id)
        }
        for id in ids where reading.found[id] == nil && reading.unreadable[id] == nil {
            // The PMS has it no longer, which the catalogue learns by the next trigger.
            gaps[id]?.postpone()
        }
    }

    /// Reads hotels in batches, several of them at the same time, on half of the connections.
    ///
    /// - Throws: the first error; what has not been begun then is not.
    private func inBatches<Output: Sendable>(
        _ ids: [Int32], _ read: @escaping @Sendable @OnLoop ([Int32]) async throws -> Output
    ) async throws -> [Output] {
        var rest = ids.parts(ofAtMost: Self.batch)[...]
        return try await withThrowingTaskGroup(of: Output.self) { group in
            var outputs: [Output] = []
            for _ in 0..<max(1, policy.database.poolSize / 2) {
                if let part = rest.popFirst() { group.addTask { try await read(part) } }
            }
            while let output = try await group.next() {
                outputs.append(output)
                if let part = rest.popFirst() { group.addTask { try await read(part) } }
            }
            return outputs
        }
    }

    // MARK: What could not be read

    /// Tries again what could not be read, each hotel at its time, until the task is cancelled.
    func recover() async {
        while !Task.isCancelled {
            do { try await Loop.sleep(for: Self.recoveryInterval) } catch { return }
            let due = gaps.filter { $0.value.isDue }.keys.sorted()
            for part in due.parts(ofAtMost: Self.batch) {
                do { try await tryAgain(part) } catch {
                    // The database is away, which its own log says, or does not come to an end with these hotels: asking
                    // again each second would only add to its load.
                    for id in due { gaps[id]?.postpone() }
                    Log.debug("hotels not tried again", ["hotels": .init(due.count), "error": .init(error: error)])
                    break
                }
            }
        }
    }

    private func tryAgain(_ ids: [Int32]) async throws {
        let unknown = ids.filter { entries[$0] == nil }
        if !unknown.isEmpty { try await readCatalogues(of: unknown) }
        try await count(ids)
        for id in ids where gaps[id] == nil && entries[id] != nil {
            // It was read together with others and not in its turn: what was booked meanwhile may be missing.
            distrust(id)
            Log.info("hotel can be read again", ["hotel_id": .init(id)])
        }
    }

    private func readCatalogues(of ids: [Int32]) async throws {
        let since = try await store.version()
        let hotels = try await pms.hotels(ids)
        let offers = try await pms.offers(of: ids)
        for id in ids {
            if let fault = hotels.unreadable[id] ?? offers.unreadable[id] {
                gaps[id]?.failed(fault)
                report(id)
            } else if let hotel = hotels.found[id], let offer = offers.found[id] {
                do {
                    try await admit(id, CachedHotel(hotel), CachedOffer(offer), readSince: since)
                } catch is CatalogueStore.Overtaken {
                    // Another bridge could read it, which is followed.
                    gaps[id]?.postpone()
                }
                for fault in offers.faults where fault.hotel == id {
                    Log.warning("not all of the PMS can be sold", fault.fields)
                }
            } else if try await store.isLinked(id) {
                // The PMS has it no longer, but a booking names it.
                gaps[id]?.postpone()
            } else {
                try await store.remove(id)
                remove(id)
                Log.info("unreadable hotel is gone", ["hotel_id": .init(id)])
            }
        }
    }

    /// Writes a hotel down that was not known, and makes it known.
    ///
    /// - Parameter since: the store's version before it was read.
    /// - Throws: `CatalogueStore.Overtaken`.
    func admit(_ id: Int32, _ hotel: CachedHotel, _ offer: CachedOffer, readSince since: Int64) async throws {
        let position = order.firstIndex(of: id) ?? order.count
        try await store.save([(id, position, hotel, offer)], readSince: since)
        let images = try await store.images(of: id)
        let now = Loop.unixTime
        take(id, hotel, offer, images: images, readAt: (now, now))
        if !order.contains(id) { setOrder(order + [id]) }
    }

    /// Says that nothing can be read: something is wrong with the database or our rights in it, most likely, not with each
    /// of the hotels.
    private func reportAll(_ faults: [Int32: Fault]) {
        guard let fault = order.lazy.compactMap({ faults[$0] }).first else { return }
        reasons.insert(fault.ofAll)
        Log.error(
            "no hotel can be read",
            ["hotels": .init(faults.count), "table": .init(fault.table), "reason": .init(fault.reason)])
    }

    /// Says why a hotel is not sold, unless that was said: of the hotel or, while none can be read, of another one.
    private func report(_ id: Int32) {
        guard let gap = gaps[id], !gap.isReported else { return }
        if entries.isEmpty, !reasons.insert(gap.fault.ofAll).inserted { return }
        gaps[id]?.isReported = true
        Log.warning("hotel cannot be read and is not sold", gap.fault.fields)
    }

    // MARK: What other bridges have changed

    /// Takes over what other bridges read from the PMS, and what hotels have set there, until the task is cancelled.
    func follow() async {
        while !Task.isCancelled {
            do { try await Loop.sleep(for: Self.followInterval) } catch { return }
            do { if try await restrictions.hasNews() { try await catchUpWithTerms() } } catch {
                // The database is away, which its own log says.
                Log.debug("restrictions not followed", ["error": .init(error: error)])
            }
            do { if try await store.hasNews() { try await catchUp() } } catch {
                Log.debug("catalogue not followed", ["error": .init(error: error)])
            }
        }
    }

    private func catchUpWithTerms() async throws {
        let news = try await restrictions.news()
        if news.isWhole {
            // Whatever is in memory is of another history. What a command sets meanwhile comes with the next look.
            let gone = Set(terms.keys).subtracting(news.terms.keys).subtracting(news.unreadable)
            for hotel in gone { set(.none, at: hotel) }
            for (hotel, terms) in news.terms { set(terms, at: hotel) }
        } else {
            take(news.terms)
        }
        restrictions.note(news.version)
    }

    /// Hotels have set how their rooms are sold.
    func take(_ news: [Int32: SaleTerms]) {
        for (hotel, terms) in news where terms.version > self.terms[hotel]?.version ?? 0 { set(terms, at: hotel) }
    }

    private func set(_ terms: SaleTerms, at hotel: Int32) {
        self.terms[hotel] = terms
        entries[hotel]?.take(terms)
    }

    private func catchUp() async throws {
        let snapshot = try await store.snapshot()
        guard snapshot.isFilled else { return }
        let present = Set(snapshot.rows.map(\.id))
        for id in Array(entries.keys) + Array(gaps.keys) where !present.contains(id) { remove(id) }
        var isWhole = true
        for row in snapshot.rows {
            if row.content != nil {
                do {
                    // A change of rooms waits for the bookings under way.
                    try await inTurn(row.id) { _ in adopt(row, nil) }
                } catch let error as LoopError where error.isOfLine {
                    // The others need not wait for one that is busy; it comes with the next look.
                    isWhole = false
                    if let omitted = unfollowed.admit(at: Loop.monotonicNanoseconds) {
                        Log.warning(
                            "change of a hotel not taken over yet",
                            ["hotel_id": .init(row.id), "error": .init(error: error), "lines_omitted": .init(omitted)])
                    }
                }
            }
            if row.mustRecount { distrust(row.id) }
        }
        setOrder(snapshot.rows.map(\.id).filter { entries[$0]?.hotel.isActive ?? true })
        if isWhole { store.note(snapshot.version) }
    }
}

/// The PMS, which had hotels, has none: it is being restored, more likely than not.
struct NoHotels: Error, CustomStringConvertible {
    var description: String { "the PMS has no hotel any more" }
}

extension LoopError {
    /// Whether too many stood in line at a hotel, or one waited there too long.
    var isOfLine: Bool { code == .timedOut || code == .tooLarge }
}

extension CatalogueStore.Row {
    /// When the PMS was last asked, as far as anybody noted it.
    fileprivate var readAt: (hotel: Double, offer: Double) {
        (hotelReadAt?.unixTime ?? Loop.unixTime, offerReadAt?.unixTime ?? Loop.unixTime)
    }
}

extension Instant {
    /// In seconds since 1970.
    var unixTime: Double { Double(microseconds) / 1_000_000 }

    /// This moment.
    @OnLoop static var now: Instant { Instant(microseconds: Int64(Loop.unixTime * 1_000_000)) }
}

extension Fault {
    /// The same, of no hotel in particular.
    var ofAll: Fault { Fault(hotel: nil, table: table, reason: reason) }

    /// What the log says of it: nothing that a guest may have typed.
    var fields: KeyValuePairs<StaticString, Log.Value> {
        guard let hotel else { return ["table": .init(table), "reason": .init(reason)] }
        return ["hotel_id": .init(hotel), "table": .init(table), "reason": .init(reason)]
    }
}
