internal import Booking
internal import Catalogue
internal import Loop
internal import PMS
internal import Telemetry

// How what is known to be free stays what the PMS has.
extension HotelDirectory {
    /// How often it is written down what was read when.
    private static let notingInterval = Duration.seconds(60)

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
            guard let entry = entries[id], entry.isCounted else { continue }
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

    /// Writes down now and then when which hotel was read last, until the task is cancelled.
    func noteFreshness() async {
        var noted: [Int32: Int64] = [:]
        while !Task.isCancelled {
            do { try await Loop.sleep(for: Self.notingInterval) } catch { return }
            let read = entries.values.filter { entry in
                entry.isCounted && entry.hotel.isActive
                    && Int64(entry.loadedAt * 1_000_000) > noted[entry.id] ?? 0
            }
            let reading = read.map { (id: $0.id, at: Instant(microseconds: Int64($0.loadedAt * 1_000_000))) }
            do {
                try await store.noteRead(.availability, reading)
                for hotel in reading { noted[hotel.id] = hotel.at.microseconds }
            } catch {
                // The database is away, which its own log says.
                Log.debug("freshness not written down", ["error": .init(error: error)])
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

    /// It is not known whether a change of ours took effect: what is in memory of the hotel is read anew soon.
    func distrust(_ hotel: Int32) {
        noteDoubt(hotel)
        doubt.fire()
    }

    /// What is in memory of every hotel is read anew soon.
    func distrustAll() {
        doubtful = order
        doubt.fire()
    }

    private func noteDoubt(_ hotel: Int32) {
        if !doubtful.contains(hotel) { doubtful.append(hotel) }
    }

    /// Replaces a hotel's index by what the PMS says now. No booking of ours is under way meanwhile, so what was read
    /// holds each of them or none.
    private func refresh(_ entry: HotelEntry, isInDoubt: Bool) async throws {
        try await entry.turnstile.pass {
            take(try await pms.occupancy(of: entry.id, from: entry.today, isSettled: isInDoubt), of: entry)
        }
    }
}

extension [Int32] {
    /// The element at an index that starts over at the end; nil in an empty array.
    fileprivate subscript(cyclic index: Int) -> Int32? { isEmpty ? nil : self[index % count] }
}
