internal import Availability
internal import Booking
internal import Catalogue
internal import Loop
internal import PMS
internal import Telemetry

// How what is known to be free stays what the PMS has.
extension HotelDirectory {
    /// How often it is written down what was read when.
    private static let notingInterval = Duration.seconds(60)

    /// How long a worker waits for something to do.
    private static let idle = 1.0
    private static let shortPause = 0.05

    /// Reads one hotel after the other anew, so that each is fresh and the PMS sees an even trickle of questions, on no more
    /// than a share of its connections. First come those that somebody is in doubt about or waits for; one that cannot be
    /// read has the others before it until it is tried again.
    func keepFresh() async {
        await withDiscardingTaskGroup { group in
            for arrival in freshness.arrivals { group.addTask { await self.keepFresh(arrival) } }
        }
    }

    private func keepFresh(_ arrival: Signal) async {
        while !Task.isCancelled {
            guard let (entry, isDoubted) = nextToRead() else {
                do { try await pause(arrival) } catch { return }
                continue
            }
            let started = Loop.unixTime
            do {
                defer { freshness.end(entry.id) }
                try await refresh(entry, isInDoubt: isDoubted)
                freshness.isFailing = false
            } catch {
                if Task.isCancelled { return }
                failed(entry, isDoubted, error)
            }
            let rest = (Loop.unixTime - started) * freshness.share.rest
            if rest > 0 { do { try await Loop.sleep(for: .seconds(rest)) } catch { return } }
        }
    }

    private func nextToRead() -> (HotelEntry, isDoubted: Bool)? {
        let now = Loop.unixTime
        while let (hotel, isDoubted) = freshness.begin({ (entries[$0]?.nextReading ?? 0) <= now }) {
            // What is not known at all is read by `recover`, which doubts it then.
            if let entry = entries[hotel], entry.isCounted { return (entry, isDoubted) }
            freshness.end(hotel)
        }
        guard now >= freshness.nextReading else { return nil }
        if freshness.plan.isEmpty { plan(at: now) }
        while let hotel = freshness.beginPlanned() {
            if let entry = entries[hotel], entry.isCounted, gaps[hotel] == nil {
                let oldest = entry.readAt
                freshness.nextReading = now + freshness.schedule.pause(hotels: order.count, oldest: oldest, at: now)
                return (entry, false)
            }
            freshness.end(hotel)
        }
        // What is planned is under way.
        freshness.nextReading = max(freshness.nextReading, now + Self.shortPause)
        return nil
    }

    private func plan(at now: Double) {
        let candidates = order.lazy.compactMap { [self] id -> RefreshSchedule.Candidate? in
            guard let entry = entries[id], entry.isCounted, gaps[id] == nil, entry.nextReading <= now else {
                return nil
            }
            return .init(hotel: id, readAt: entry.readAt, askedAt: entry.askedAt)
        }
        freshness.plan = freshness.schedule.due(candidates, at: now, limit: Freshness.planned)
        if freshness.plan.isEmpty { freshness.nextReading = now + min(Self.idle, freshness.schedule.timeToLive / 4) }
    }

    /// Waits until the next hotel is to be read, or one is to be read out of turn.
    private func pause(_ arrival: Signal) async throws {
        let wait = min(Self.idle, max(0.001, freshness.nextReading - Loop.unixTime))
        let deadline = Deadline { arrival.fire() }
        deadline.set(.seconds(wait))
        defer { deadline.cancel() }
        try await arrival.wait()
    }

    private func failed(_ entry: HotelEntry, _ isDoubted: Bool, _ error: any Error) {
        entry.readingFailed()
        freshness.isFailing = true
        if isDoubted { freshness.hasten(entry.id, isDoubted: true) }
        guard let omitted = unread.admit(at: Loop.monotonicNanoseconds) else { return }
        Log.warning(
            "hotel not refreshed",
            ["hotel_id": .init(entry.id), "error": .init(error: error), "lines_omitted": .init(omitted)])
    }

    /// Reads a hotel that has expired, once however many ask for it, and waits for that for a while; not while others cannot be
    /// read, for many would wait in vain and hold up whoever needs no reading.
    func freshen(_ entry: HotelEntry) async {
        guard pms.isConnected, entry.nextReading <= Loop.unixTime else { return }
        if !freshness.underWay.contains(entry.id) { freshness.hasten(entry.id, isDoubted: false, first: true) }
        if !freshness.isFailing { try? await entry.reading.wait() }
    }

    /// Writes down now and then when which hotel was read last, until the task is cancelled.
    func noteFreshness() async {
        var noted: [Int32: Double] = [:]
        while !Task.isCancelled {
            do { try await Loop.sleep(for: Self.notingInterval) } catch { return }
            let read = entries.values.filter { entry in
                entry.isCounted && !entry.isRestored && entry.hotel.isActive
                    && max(entry.readAt, entry.typesReadAt.values.max() ?? 0) > noted[entry.id] ?? 0
            }
            let reading = read.map { entry in
                (
                    id: entry.id, at: Instant(microseconds: Int64(entry.readAt * 1_000_000)),
                    types: entry.typesReadAt.mapValues { Instant(microseconds: Int64($0 * 1_000_000)) }
                )
            }
            let now = Loop.unixTime
            do {
                try await store.noteAvailability(reading)
                for hotel in reading { noted[hotel.id] = now }
            } catch {
                // The database is away, which its own log says.
                Log.debug("freshness not written down", ["error": .init(error: error)])
            }
        }
    }

    /// It is not known whether a change of ours took effect: what is in memory of the hotel is read anew soon.
    func distrust(_ hotel: Int32) { freshness.hasten(hotel, isDoubted: true) }

    /// What is in memory of every hotel is read anew soon.
    func distrustAll() { freshness.hasten(order) }

    /// Replaces a hotel's index by what the PMS says now. No booking of ours is under way meanwhile, so what was read
    /// holds each of them or none.
    private func refresh(_ entry: HotelEntry, isInDoubt: Bool) async throws {
        try await entry.turnstile.pass {
            take(try await occupancy(of: entry, isSettled: isInDoubt), of: entry)
        }
        // Also where nothing differs: what is in memory may have been right, and told to nobody.
        if isInDoubt { availabilityRead(entry.id) }
    }
}
