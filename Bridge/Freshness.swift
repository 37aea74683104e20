internal import Availability
internal import Loop

/// Which hotels are to be read anew, and who reads them: a few workers, so that the PMS's connections are there for clients.
@OnLoop
final class Freshness {
    /// Hotels that are planned at a time.
    static let planned = 64

    let share: ConnectionShare
    let schedule: RefreshSchedule
    /// Hotels to be read out of turn, the first one first; true where it is doubted what is known of them.
    private var urgent: [Int32] = []
    private var doubts: [Int32: Bool] = [:]
    /// Hotels that are due, the one needed soonest first.
    var plan: [Int32] = []
    /// When the next one that is due may be read.
    var nextReading = -Double.infinity
    private(set) var underWay: Set<Int32> = []
    /// Whether the last reading that ended has failed.
    var isFailing = false
    /// Wake the workers.
    let arrivals: [Signal]

    init(timeToLive: Duration, _ share: ConnectionShare) {
        self.share = share
        schedule = RefreshSchedule(timeToLive: timeToLive.seconds)
        arrivals = (0..<share.workers).map { _ in Signal() }
    }

    /// The hotel is to be read out of turn.
    ///
    /// - Parameters:
    ///   - isDoubted: whether what is known may be wrong, and not just old.
    ///   - first: whether somebody waits for it.
    func hasten(_ hotel: Int32, isDoubted: Bool, first: Bool = false) {
        if first, doubts[hotel] != nil { urgent.removeAll { $0 == hotel } }
        if first || doubts[hotel] == nil { urgent.insert(hotel, at: first ? 0 : urgent.count) }
        doubts[hotel] = isDoubted || doubts[hotel] == true
        wake()
    }

    func hasten(_ hotels: [Int32]) {
        for hotel in hotels where doubts[hotel] == nil { urgent.append(hotel) }
        for hotel in hotels { doubts[hotel] = true }
        wake()
    }

    private func wake() { for arrival in arrivals { arrival.fire() } }

    /// The next hotel that is to be read out of turn, and whether it is doubted what is known of it.
    ///
    /// - Parameter mayBegin: whether it may be tried now.
    func begin(_ mayBegin: (Int32) -> Bool) -> (hotel: Int32, isDoubted: Bool)? {
        guard let place = urgent.firstIndex(where: { !underWay.contains($0) && mayBegin($0) }) else { return nil }
        let hotel = urgent.remove(at: place)
        underWay.insert(hotel)
        return (hotel, doubts.removeValue(forKey: hotel) ?? false)
    }

    /// The next hotel that is due.
    func beginPlanned() -> Int32? {
        guard let place = plan.firstIndex(where: { !underWay.contains($0) }) else { return nil }
        let hotel = plan.remove(at: place)
        underWay.insert(hotel)
        return hotel
    }

    func end(_ hotel: Int32) { underWay.remove(hotel) }
}

extension Duration {
    /// In seconds.
    var seconds: Double { Double(components.seconds) + Double(components.attoseconds) / 1e18 }
}
