internal import Booking
internal import Egress
internal import Loop
internal import Policy
internal import Postgres
internal import Telemetry
internal import Webhook

/// Delivers events: takes them out of the outbox, makes of each a delivery for every endpoint that is told of it, sends, and
/// says what became of it.
///
/// Any number of dispatchers, in any number of processes, work on one database: what one of them has claimed is its own as long as
/// its `DispatchSession` lasts, and what it says of it afterwards counts for nothing. Every event arrives at least once: what was
/// sent and not written down before a crash is sent again, under the same id.
///
/// For deliveries no more statements are under way than one that takes and one that settles, each for as many as there are then:
/// the more there is to do, the fewer they are for each.
@OnLoop
final class Dispatcher {
    /// Events that are taken at once.
    private static let batch = 250
    /// Deliveries of one endpoint that are claimed at once where nothing is known of it.
    private static let usualRoom = 20
    /// Deliveries in hand above which no more are claimed; what is in the outbox goes on to wait then.
    private static let capacity = 20_000
    /// How long it waits between two looks: at least while there was something, at most when there has been nothing.
    private static let shortestPause = Duration.milliseconds(20)
    private static let longestPause = Duration.milliseconds(40)
    /// Between two looks at what has changed.
    private static let beat = Duration.seconds(1)
    /// For how long an endpoint whose secrets cannot be opened is left alone.
    private static let keylessPause: Int64 = 10_000
    /// For how long a delivery waits that could not be begun.
    private static let ownFaultPause: Int64 = 1000

    private let database: Database
    private let policy: DeliveryPolicy
    private let sender: DeliverySender
    private let reader: EndpointReader
    private let failures: EndpointFailures
    private let upkeep: DispatchUpkeep
    private let session: DispatchSession
    private let lanes: EndpointLanes
    private let settlements: SettlementQueue
    private var floor = OutboxFloor()
    private var inHand = 0
    private var begun: [BegunAttempt] = []
    private let poll = Signal()
    private let send = Signal()
    private var complaints = LogThrottle()
    private let metrics = DispatchMetrics()

    init(_ configuration: BridgeConfiguration, _ secrets: WebhookSecrets) throws {
        // Connections of its own, so that it holds nobody up and nobody it.
        var own = configuration.database
        own.name = "dispatcher"
        own.connections = 4
        // No table here has a partition per hotel, and what is planned anew each time costs more than what it does.
        own.sessionSettings["plan_cache_mode"] = "force_generic_plan"
        // Such a plan is often made while tables are empty, when reading them whole looks cheap; a backlog would be read whole for
        // every delivery then.
        own.sessionSettings["enable_seqscan"] = "off"
        own.sessionSettings["enable_bitmapscan"] = "off"
        database = try Database(own)
        let egress = configuration.changeable.egress
        var policy = configuration.policy.webhooks
        // A request may wait for its turn as long as it may take.
        policy.gate.longestAttempt = egress.terms.totalDeadline * 2 + .seconds(10)
        self.policy = policy
        sender = DeliverySender(egress, longestRetryAfter: policy.longestRetryAfter)
        if configuration.isDemo {
            Log.info("this is the demo: webhooks may be sent to this machine, without TLS")
        }
        reader = EndpointReader(database: database, secrets: secrets, sender: sender)
        failures = EndpointFailures(database: database, limit: policy.disablingTime)
        upkeep = DispatchUpkeep(database, secrets)
        session = DispatchSession(database, metrics)
        lanes = EndpointLanes(policy.gate)
        settlements = SettlementQueue(database)
        lanes.onTimer = { [weak self] in self?.pump($0) }
        metrics.watch(
            inHand: { [weak self] in self?.inHand ?? 0 },
            conditions: { [weak self] condition in self?.lanes.all.count { $0.gate.condition == condition } ?? 0 })
    }

    /// Goes by another policy from the next attempt on.
    func replace(_ next: EgressPolicy) {
        guard sender.replace(next) else { return }
        for lane in lanes.all { lane.isToBeLoaded = true }
    }

    /// Lets it look at once: something was committed.
    func wake() { poll.fire() }

    /// Why nothing can be delivered; nil where something can.
    var unreadiness: String? { database.isAvailable ? nil : "the database is not reachable" }

    /// Works until the task is cancelled. What is in hand then is another's when its lease is over, unless `drain` was called.
    func run() async {
        await withDiscardingTaskGroup { group in
            group.addTask { await self.database.run() }
            group.addTask {
                await self.session.run(
                    onOver: { self.forget() }, onWork: { self.poll.fire() },
                    onFailure: { self.note($0, "webhooks' session not kept") })
            }
            group.addTask { await self.keepUp() }
            group.addTask { await self.take() }
            group.addTask {
                await self.settlements.run(
                    onSettled: { self.settled($0, of: $1) },
                    onFailure: { self.note($0, "what became of webhooks not written down") })
            }
            while (try? await send.wait()) != nil {
                for attempt in begun { group.addTask { await self.carryOut(attempt) } }
                begun = []
            }
            group.cancelAll()
        }
        for lane in lanes.all { lane.timer.cancel() }
        sender.close()
    }

    /// Takes nothing more, and waits until what is being sent has been answered, or until patience ends; gives back the rest.
    func drain(patience: Duration) async {
        session.close()
        for lane in lanes.all { release(lane.takeAll(), after: 0) }
        let end = Loop.monotonicNanoseconds + UInt64(patience.components.seconds) * 1_000_000_000
        while inHand > 0, Loop.monotonicNanoseconds < end {
            do { try await Loop.sleep(for: .milliseconds(10)) } catch { return }
        }
        do { try await session.end() } catch {
            note(error, "webhooks' session not ended; others wait until its lease is over")
        }
    }

    /// Lets go of everything: it is anybody's.
    private func forget() {
        for lane in lanes.all { _ = lane.takeAll() }
        metrics.lostClaims.increment(by: UInt64(inHand))
        inHand = 0
        settlements.removeAll()
    }

    // MARK: - What others change

    /// Keeps up with endpoints and with what waits for them.
    private func keepUp() async {
        while !Task.isCancelled {
            await noting("webhooks' endpoints not read") { try await refresh() }
            await noting("webhooks that wait not looked at") {
                for id in try await database.query(DispatchStatements.due()) {
                    lanes.expect(lanes.lane(of: id), after: 0)
                }
                metrics.figures = try await database.first(DispatchStatements.figures())
            }
            await upkeep.round { note($0, $1) }
            do { try await Loop.sleep(for: Self.beat) } catch { return }
        }
    }

    private func noting(_ complaint: StaticString, _ work: () async throws -> Void) async {
        do { try await work() } catch { note(error, complaint) }
    }

    /// Goes by endpoints as they are now.
    private func refresh() async throws {
        let known = lanes.all.map(\.id)
        let versions = Dictionary(
            uniqueKeysWithValues: try await database.query(DispatchStatements.versions(known.map(\.uuid))))
        for id in known where versions[id] == nil { remove(id) }
        try await load(lanes.outdated(by: versions))
    }

    private func remove(_ id: EndpointID) {
        for delivery in lanes.remove(id) { end(delivery, .removed) }
    }

    private func load(_ ids: [EndpointID]) async throws {
        guard !ids.isEmpty else { return }
        let endpoints = try await reader.read(ids)
        for endpoint in endpoints {
            let lane = lanes.lane(of: endpoint.id)
            // Another look, begun later, may have seen more.
            guard endpoint.target.version >= lane.target?.version ?? 0 else { continue }
            lane.aim(endpoint.target)
            lane.streak = endpoint.streak
            // The next look may find keys.
            lane.isToBeLoaded = !endpoint.hasKeys
            lanes.unmark([endpoint.id])
            pump(lane)
        }
        for id in Set(ids).subtracting(endpoints.map(\.id)) { remove(id) }
    }

    // MARK: - Taking

    private func take() async {
        var pause = Self.shortestPause
        while !Task.isCancelled {
            let began = Loop.monotonicNanoseconds
            do {
                let count = try await takeEvents() + claimDue()
                pause = count > 0 ? Self.shortestPause : min(pause * 2, Self.longestPause)
                if !lanes.stale.isEmpty { await loadStale() }
                if count >= Self.batch { continue }
            } catch {
                note(error, "webhooks' events not taken")
                if !((error as? PostgresError)?.hadNoEffect ?? false) { session.doubt() }
                pause = .seconds(1)
            }
            let deadline = Deadline { self.poll.fire() }
            deadline.set(pause)
            defer { deadline.cancel() }
            do {
                try await poll.wait()
                // However often it is woken: what comes in the meantime goes together.
                let elapsed = Duration.nanoseconds(Int64(Loop.monotonicNanoseconds - began))
                if elapsed < Self.shortestPause { try await Loop.sleep(for: Self.shortestPause - elapsed) }
            } catch { return }
        }
    }

    /// - Returns: how many there were.
    private func takeEvents() async throws -> Int {
        guard let session = session.claiming else { return 0 }
        let now = Loop.monotonicNanoseconds
        let usual = inHand < Self.capacity ? Self.usualRoom : 0
        let scarce = lanes.all.lazy.map { ($0.id.uuid, Int32(min($0.room(at: now), usual))) }.filter { $0.1 < usual }
        let isWhole = floor.isWholeLookDue(at: now)
        metrics.statements.increment()
        let rows = try await database.query(
            DispatchStatements.fanOut(
                session, Int32(Self.batch), floor.position(isWhole: isWhole), scarce.map(\.0), scarce.map(\.1),
                Int32(usual)))
        var events = 0
        var last: BookingID?
        var claimed: [ClaimedDelivery] = []
        for row in rows {
            if row.event != last { events += 1 }
            last = row.event
            guard let endpoint = row.endpoint, let place = row.place else { continue }
            metrics.deliveries.increment()
            switch place {
            case .claimed: if let delivery = row.claimed { claimed.append(delivery) }
            case .waiting: lanes.expect(lanes.lane(of: endpoint), after: 0)
            case .dead: break
            }
        }
        floor.note(rows.last?.position, isExhausted: events < Self.batch, isWhole: isWhole, at: now)
        metrics.events.increment(by: UInt64(events))
        accept(claimed, of: session)
        return events
    }

    /// - Returns: how many there were.
    private func claimDue() async throws -> Int {
        guard let session = session.claiming, inHand < Self.capacity else { return 0 }
        let now = Loop.monotonicNanoseconds
        let asked = lanes.takeDue(at: now)
        guard !asked.isEmpty else { return 0 }
        metrics.statements.increment()
        let deliveries: [ClaimedDelivery]
        do {
            deliveries = try await database.query(
                DispatchStatements.claim(session, asked.map(\.0.id.uuid), asked.map { Int32($0.1) }))
        } catch {
            for (lane, room) in asked { lanes.claimed(nil, of: room, in: lane, at: now) }
            throw error
        }
        let counts = Dictionary(grouping: deliveries, by: \.endpoint).mapValues(\.count)
        for (lane, room) in asked { lanes.claimed(counts[lane.id] ?? 0, of: room, in: lane, at: now) }
        accept(deliveries, of: session)
        return deliveries.count
    }

    private func accept(_ deliveries: [ClaimedDelivery], of session: Int64) {
        // What a session has claimed that was over by then is others'.
        guard session == self.session.number else { return }
        inHand += deliveries.count
        var touched: Set<EndpointID> = []
        for delivery in deliveries {
            // Nothing is left to be sent.
            guard delivery.isKept else {
                end(delivery, .removed)
                continue
            }
            lanes.append(delivery)
            touched.insert(delivery.endpoint)
        }
        for id in touched.subtracting(lanes.stale) { if let lane = lanes[id] { pump(lane) } }
    }

    private func loadStale() async {
        let ids = Array(lanes.stale)
        do { try await load(ids) } catch {
            note(error, "webhooks' endpoints not read")
            for id in ids { if let lane = lanes[id] { release(lane.takeAll(), after: 1000) } }
        }
        lanes.unmark(ids)
    }

    // MARK: - Sending

    /// Begins as many of a lane's deliveries as may begin now.
    private func pump(_ lane: EndpointLane) {
        guard let target = lane.target, let session = session.number, !lanes.stale.contains(lane.id) else { return }
        if self.session.isClosing { return release(lane.takeAll(), after: 0) }
        if target.isDisabled {
            for delivery in lane.takeAll() { end(delivery, .disabled) }
            return
        }
        if target.keys.secrets.isEmpty { return release(lane.takeAll(), after: Self.keylessPause) }
        while !lane.queue.isEmpty {
            let now = Loop.monotonicNanoseconds
            switch lane.gate.admit(at: now) {
            case .send(let ticket):
                lane.underWay += 1
                begun.append(
                    BegunAttempt(lane: lane, target: target, delivery: lane.next()!, ticket: ticket, session: session))
                send.fire()
            case .wait(let until, .circuitOpen):
                // It is parked: what it has leaves the claims until then.
                return release(lane.takeAll(), after: Int64((until - now) / 1_000_000) + 1)
            case .wait(let until, _):
                // At the latest; when one of those under way ends it is asked again.
                return lane.timer.set(.nanoseconds(Int64(clamping: until - now)) + .milliseconds(1))
            }
        }
    }

    private func carryOut(_ attempt: BegunAttempt) async {
        let (lane, target, delivery, session) = (attempt.lane, attempt.target, attempt.delivery, attempt.session)
        let began = Loop.monotonicNanoseconds
        let made: DeliverySender.Attempt
        do { made = try await sender.send(delivery, to: target) } catch {
            note(error, "webhook not sent, for a reason of our own")
            return giveBack(attempt)
        }
        let outcome = made.outcome
        let now = Loop.monotonicNanoseconds
        lane.underWay -= 1
        lane.gate.finish(attempt.ticket, outcome, at: now)
        let decision = DeliveryDecision(
            after: outcome, attempts: delivery.attempts + 1, retries: target.subscription.retryPolicy,
            schedule: policy.schedule, random: .random(in: 0...1))
        let result = Settlement.Result(decision)
        if session == self.session.number {
            settlements.append(
                Settlement(
                    delivery: delivery.id, session: session, result: result, wait: decision.wait,
                    attempt: made.record))
            if case .retry = decision { lanes.expect(lane, after: decision.wait + 1) }
        }
        metrics.count(lane.id, result, nanoseconds: now - began, isReused: made.isConnectionReused)
        if result == .delivered, delivery.attempts == 0 {
            metrics.recordLatency(microseconds: Instant.now.microseconds - delivery.happenedAt.microseconds)
        }
        if target.subscription.isOrdered { lanes.expect(lane, after: 1) }
        await noting("failures of a webhook's endpoint not written down") {
            guard try await failures.note(outcome, of: target, in: lane) else { return }
            // If it cannot be read now, the next look does.
            lane.isToBeLoaded = true
            try await load([lane.id])
        }
        pump(lane)
        if lane.room(at: now) > 0, lane.nextDue != nil { poll.fire() }
        if target.isBookingEngine, decision.isFinal {
            await noting("not written down whether a booking engine was told") {
                try await database.execute(
                    DispatchStatements.noteBookingEngine(
                        [delivery.event], result == .delivered, "The booking engine could not be told"))
            }
        }
    }

    /// No attempt was made that counts.
    private func giveBack(_ attempt: BegunAttempt) {
        attempt.lane.underWay -= 1
        attempt.lane.gate.withdraw(attempt.ticket)
        if attempt.session == session.number { release([attempt.delivery], after: Self.ownFaultPause) }
        pump(attempt.lane)
    }

    // MARK: - Settling

    private func end(_ delivery: ClaimedDelivery, _ result: Settlement.Result) {
        guard let session = session.number else { return }
        settlements.append(Settlement(delivery: delivery.id, session: session, result: result))
    }

    /// Puts deliveries back that were not begun.
    ///
    /// - Parameter wait: in milliseconds.
    private func release(_ deliveries: ArraySlice<ClaimedDelivery>, after wait: Int64) {
        guard let session = session.number, let first = deliveries.first else { return }
        for delivery in deliveries {
            settlements.append(
                Settlement(delivery: delivery.id, session: session, result: .release, wait: wait))
        }
        lanes.expect(lanes.lane(of: first.endpoint), after: wait + 1)
    }

    private func settled(_ held: Int, of count: Int) {
        metrics.statements.increment()
        metrics.lostClaims.increment(by: UInt64(count - held))
        inHand -= count
    }

    private func note(_ error: any Error, _ message: StaticString) {
        guard !Task.isCancelled, let omitted = complaints.admit(at: Loop.monotonicNanoseconds) else { return }
        Log.warning(message, ["error": .init(error: error), "lines_omitted": .init(omitted)])
    }
}

/// An attempt that its endpoint's gate has admitted.
private struct BegunAttempt {
    let lane: EndpointLane
    let target: EndpointLane.Target
    let delivery: ClaimedDelivery
    let ticket: EndpointGate.Ticket
    let session: Int64
}

extension PostgresError {
    /// Whether it is certain that nothing was changed.
    fileprivate var hadNoEffect: Bool {
        switch code {
        case .connectionLost, .timedOut, .cancelled, .decoding: false
        default: true
        }
    }
}
