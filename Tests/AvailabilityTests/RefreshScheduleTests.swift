import Availability
import Testing

@Suite("Which hotel is read next")
struct RefreshScheduleTests {
    private let schedule = RefreshSchedule(timeToLive: 900)

    private func candidate(_ hotel: Int32, readAt: Double, askedAt: Double = -1e9) -> RefreshSchedule.Candidate {
        .init(hotel: hotel, readAt: readAt, askedAt: askedAt)
    }

    @Test("Only those whose half time has passed are due, those asked for lately before the others, by age")
    func order() {
        let candidates = [
            candidate(1, readAt: 100), candidate(2, readAt: 300, askedAt: 900), candidate(3, readAt: 200, askedAt: 950),
            candidate(4, readAt: 551), candidate(5, readAt: 50, askedAt: 99), candidate(6, readAt: 550),
        ]
        #expect(schedule.due(candidates, at: 1000, limit: 10) == [3, 2, 5, 1, 6])
        #expect(schedule.due(candidates, at: 1000, limit: 2) == [3, 2])
        #expect(schedule.due(candidates, at: 400, limit: 10) == [])
    }

    @Test("All hotels are read once in half of their time, evenly, and without a pause when some are late")
    func pace() {
        #expect(schedule.pause(hotels: 45, oldest: 1000, at: 1500) == 10)
        #expect(schedule.pause(hotels: 0, oldest: 1000, at: 1500) == 450)
        #expect(schedule.pause(hotels: 45, oldest: 800, at: 1500) == 0)
    }

    @Test("Read by such a schedule no hotel of a thousand gets older than it may be")
    func simulation() {
        var readAt = [Double](repeating: 0, count: 1000)
        var now = 0.0
        var oldest = 0.0
        while now < 5000 {
            let candidates = readAt.enumerated().map { candidate(Int32($0.offset), readAt: $0.element) }
            let due = schedule.due(candidates, at: now, limit: 32)
            let pause = schedule.pause(hotels: readAt.count, oldest: readAt.min()!, at: now)
            for hotel in due {
                oldest = max(oldest, now - readAt[Int(hotel)])
                readAt[Int(hotel)] = now
                now += max(pause, 0.002)
            }
            if due.isEmpty { now += pause }
        }
        #expect(oldest < 900)
        #expect(oldest > 450)
    }

    @Test("A share is some connections all of the time, or one for a part of it")
    func share() {
        #expect(ConnectionShare(percent: 25, of: 8).workers == 2)
        #expect(ConnectionShare(percent: 25, of: 8).rest == 0)
        #expect(ConnectionShare(percent: 25, of: 1).workers == 1)
        #expect(ConnectionShare(percent: 25, of: 1).rest == 3)
        #expect(ConnectionShare(percent: 50, of: 3).workers == 1)
        #expect(ConnectionShare(percent: 50, of: 3).rest == 0)
        #expect(ConnectionShare(percent: 100, of: 4).workers == 4)
    }
}
