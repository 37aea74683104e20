internal import Booking
internal import Loop
internal import Webhook

/// The lanes of the endpoints that this process has to do with, and which of them need something of the database.
@OnLoop
final class EndpointLanes {
    private let limits: EndpointGate.Limits
    private var lanes: [EndpointID: EndpointLane] = [:]
    /// Those that may have something in the database to claim.
    private var expecting: Set<EndpointID> = []
    /// Those with deliveries of an endpoint that is another one by now; they send nothing until it has been read.
    private(set) var stale: Set<EndpointID> = []
    /// Called when a lane's timer says that it may go on.
    var onTimer: @OnLoop (EndpointLane) -> Void = { _ in }

    init(_ limits: EndpointGate.Limits) { self.limits = limits }

    var all: Dictionary<EndpointID, EndpointLane>.Values { lanes.values }

    /// The lane of an endpoint, if it has one.
    subscript(_ id: EndpointID) -> EndpointLane? { lanes[id] }

    /// The lane of an endpoint, made where it had none.
    func lane(of id: EndpointID) -> EndpointLane {
        if let lane = lanes[id] { return lane }
        let lane = EndpointLane(id, limits) { [weak self] in
            guard let self, let lane = self.lanes[id] else { return }
            self.onTimer(lane)
        }
        lanes[id] = lane
        return lane
    }

    /// Forgets an endpoint that is not there any more, as soon as nothing of it is under way.
    ///
    /// - Returns: what it had in hand that has not begun.
    func remove(_ id: EndpointID) -> ArraySlice<ClaimedDelivery> {
        guard let lane = lanes[id] else { return [] }
        if lane.underWay == 0 {
            lane.timer.cancel()
            lanes[id] = nil
            expecting.remove(id)
        }
        return lane.takeAll()
    }

    // MARK: What waits in the database

    /// Notes that something of a lane may be claimed in so many milliseconds.
    func expect(_ lane: EndpointLane, after wait: Int64) {
        lane.expect(at: Loop.monotonicNanoseconds + UInt64(max(0, wait)) * 1_000_000)
        expecting.insert(lane.id)
    }

    /// The lanes of which something may be claimed now, and how much of each. Nothing more is expected of them until `claimed`
    /// says so, or `expect`.
    func takeDue(at now: UInt64) -> [(lane: EndpointLane, room: Int)] {
        var due: [(lane: EndpointLane, room: Int)] = []
        for id in expecting {
            guard let lane = lanes[id], let instant = lane.nextDue, instant <= now else { continue }
            let room = lane.room(at: now)
            if room > 0, lane.target?.isDisabled != true { due.append((lane, room)) }
        }
        for (lane, _) in due { lane.nextDue = nil }
        return due
    }

    /// Notes how many deliveries of a lane have been claimed, of so many that were asked for; nil where that has failed.
    func claimed(_ count: Int?, of room: Int, in lane: EndpointLane, at now: UInt64) {
        // As many as were asked for: there may be more.
        if count ?? room == room { lane.expect(at: now) }
        if lane.nextDue == nil { expecting.remove(lane.id) }
    }

    // MARK: Endpoints that have changed

    /// Takes a delivery in hand.
    func append(_ delivery: ClaimedDelivery) {
        let lane = lane(of: delivery.endpoint)
        lane.append(delivery)
        if delivery.endpointVersion > lane.target?.version ?? 0 { stale.insert(lane.id) }
    }

    /// Notes that these endpoints have been read, or could not be.
    func unmark(_ ids: some Sequence<EndpointID>) { stale.subtract(ids) }

    /// The endpoints to be read, given which version each has.
    func outdated(by versions: [EndpointID: Int32]) -> [EndpointID] {
        versions.compactMap { id, version in
            guard let lane = lanes[id] else { return nil }
            return lane.isToBeLoaded || lane.target?.version != version ? id : nil
        }
    }
}
