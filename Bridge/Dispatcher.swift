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
/// Any number of dispatchers, in any number of processes, work on one database. What one of them has taken is its own as long as
/// its session lasts, which it says every second that it does; when nothing was heard of it for the length of a lease, its
/// deliveries are anybody's, and what it says of them afterwards counts for nothing. Every event arrives at least once: what was
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
    /// Between two heartbeats, and between two looks at what has changed.
    private static let beat = Duration.seconds(1)
    /// It looks for events only behind those of at least so long ago, and now and then for all, of which some may have been
    /// committed late. Looking for all means going past every one that was taken and that PostgreSQL has not removed yet.
    private static let floorInterval: UInt64 = 1_000_000_000
    private static let wholeLookInterval: UInt64 = 5_000_000_000
    /// After so many heartbeats that a session has not given, others take over.
    private static let lease: Int64 = 10_000
    /// Beats between two looks at slots that can be emptied.
    private static let beatsPerEmptying = 10
    /// For how long an endpoint whose secrets cannot be opened is left alone.
    private static let keylessPause: Int64 = 10_000
    /// For how long a delivery waits that could not be begun.
    private static let ownFaultPause: Int64 = 1000

    private let database: Database
    private let secrets: WebhookSecrets
    private let policy: DeliveryPolicy
    private let sender: DeliverySender
    private var lanes: [EndpointID: EndpointLane] = [:]
    /// Lanes that may have something in the database to claim.
    private var expecting: Set<EndpointID> = []
    /// Lanes with deliveries of an endpoint that is another one by now.
    private var stale: Set<EndpointID> = []
    /// The session's number; nil where there is none.
    private var session: Int64?
    private var inHand = 0
    /// The highest position of an event that it has taken, and what that was at least one interval ago, and two.
    private var highest: Int64 = 0
    private var floors: (last: Int64, before: Int64) = (0, 0)
    private var lastFloor: UInt64 = 0
    private var lastWholeLook: UInt64 = 0
    private let settlements: SettlementQueue
    private var begun: [BegunAttempt] = []
    private let poll = Signal()
    private let send = Signal()
    private var isClosing = false
    /// Whether nobody knows what the session has claimed.
    private var isDoubtful = false
    private var failures = LogThrottle()
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
        self.secrets = secrets
        let egress = configuration.changeable.egress
        var policy = configuration.policy.webhooks
        // A request may wait for its turn as long as it may take.
        policy.gate.longestAttempt = egress.terms.totalDeadline * 2 + .seconds(10)
        self.policy = policy
        sender = DeliverySender(egress, longestRetryAfter: policy.longestRetryAfter)
        if configuration.isDemo {
            Log.info("this is the demo: webhooks may be sent to this machine, without TLS")
        }
        settlements = SettlementQueue(database)
        metrics.watch(
            inHand: { [weak self] in self?.inHand ?? 0 },
            conditions: { [weak self] condition in
                self?.lanes.values.count { $0.gate.condition == condition } ?? 0
            })
    }

    /// Goes by another policy from the next attempt on.
    func replace(_ next: EgressPolicy) {
        guard sender.replace(next) else { return }
        for lane in lanes.values { lane.isToBeLoaded = true }
    }

    /// Lets it look at once: something was committed.
    func wake() { poll.fire() }

    /// Why nothing can be delivered; nil where something can.
    var unreadiness: String? { database.isAvailable ? nil : "the database is not reachable" }

    /// Works until the task is cancelled. What is in hand then is another's when its lease is over, unless `drain` was called.
    func run() async {
        await withDiscardingTaskGroup { group in
            group.addTask { await self.database.run() }
            group.addTask { await self.keepSession() }
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
        for lane in lanes.values { lane.timer.cancel() }
        sender.close()
    }

    /// Takes nothing more, and waits until what is being sent has been answered, or until patience ends; gives back the rest.
    func drain(patience: Duration) async {
        isClosing = true
        for lane in lanes.values { release(lane.takeAll(), after: 0) }
        let end = Loop.monotonicNanoseconds + UInt64(patience.components.seconds) * 1_000_000_000
        while inHand > 0, Loop.monotonicNanoseconds < end {
            do { try await Loop.sleep(for: .milliseconds(10)) } catch { return }
        }
        guard let session else { return }
        do {
            try await endSession(session)
            self.session = nil
        } catch { note(error, "webhooks' session not ended; others wait until its lease is over") }
    }

    // MARK: - The session

    /// Nothing else may hold this up: whoever is silent for too long has nothing any more.
    private func keepSession() async {
        while !Task.isCancelled {
            do { try await keepSessionOnce() } catch { note(error, "webhooks' session not kept") }
            do { try await Loop.sleep(for: Self.beat) } catch { return }
        }
    }

    private func keepSessionOnce() async throws {
        if let current = session {
            if isDoubtful {
                // What it has claimed is free then; and what is still to be claimed in its name comes too late.
                try await endSession(current)
                forget()
            } else if try await database.first(DispatchStatements.heartbeat(current)) == nil {
                // It was silent for too long. What it has in hand is others' now.
                forget()
            }
        }
        if session == nil, !isClosing {
            session = try await database.first(DispatchStatements.begin())
            metrics.sessions.increment()
            poll.fire()
        }
        try await endSession(nil, silence: Self.lease)
    }

    private func forget() {
        for lane in lanes.values { _ = lane.takeAll() }
        metrics.lostClaims.increment(by: UInt64(inHand))
        inHand = 0
        settlements.removeAll()
        session = nil
        isDoubtful = false
        Log.warning("webhooks' session was over; what it had is anybody's")
    }

    /// Ends this one, and those that have been silent for so many milliseconds.
    private func endSession(_ own: Int64?, silence: Int64? = nil) async throws {
        let transaction = try await database.begin()
        let ended = try await transaction.query(DispatchStatements.end(own, silence))
        guard !ended.isEmpty else { return transaction.rollback() }
        try await transaction.commit([DispatchStatements.free(ended)])
        guard own == nil else { return }
        Log.warning("webhooks of a dispatcher that is gone are anybody's", ["sessions": .init(ended.count)])
        poll.fire()
    }

    // MARK: - What others change

    /// Keeps up with endpoints and with what waits for them. What fails of it keeps nothing else from being done.
    private func keepUp() async {
        var beats = 0
        while !Task.isCancelled {
            await noting("webhooks' endpoints not read") { try await refresh() }
            await noting("webhooks' first secrets not made") {
                for id in try await database.query(WebhookStatements.withoutSecret()) {
                    try await secrets.makeFirst(of: id, database)
                }
            }
            await noting("webhooks that wait not looked at") {
                for id in try await database.query(DispatchStatements.due()) { expect(lane(of: id), after: 0) }
                metrics.figures = try await database.first(DispatchStatements.figures())
            }
            await noting("what waits for disabled webhooks not put away") {
                _ = try await database.query(DispatchStatements.sweep())
            }
            await noting("what waits for removed webhooks not put away") {
                try await database.execute(DispatchStatements.sweepRemoved())
            }
            if beats % Self.beatsPerEmptying == 0 {
                await noting("webhooks' slots not emptied") {
                    _ = try await database.query(DispatchStatements.emptySlots())
                }
            }
            beats += 1
            do { try await Loop.sleep(for: Self.beat) } catch { return }
        }
    }

    private func noting(_ complaint: StaticString, _ work: () async throws -> Void) async {
        do { try await work() } catch { note(error, complaint) }
    }

    private func lane(of id: EndpointID) -> EndpointLane {
        if let lane = lanes[id] { return lane }
        let lane = EndpointLane(id, policy.gate) { [weak self] in
            guard let self, let lane = self.lanes[id] else { return }
            self.pump(lane)
        }
        lanes[id] = lane
        return lane
    }

    /// Goes by endpoints as they are now.
    private func refresh() async throws {
        let known = Array(lanes.keys)
        let versions = Dictionary(
            uniqueKeysWithValues: try await database.query(DispatchStatements.versions(known.map(\.uuid))))
        for id in known where versions[id] == nil { remove(id) }
        try await load(
            known.filter { id in
                guard let lane = lanes[id] else { return false }
                return lane.isToBeLoaded || lane.target?.version != versions[id]
            })
    }

    private func remove(_ id: EndpointID) {
        guard let lane = lanes[id] else { return }
        for delivery in lane.takeAll() { end(delivery, .removed) }
        guard lane.underWay == 0 else { return }
        lane.timer.cancel()
        lanes[id] = nil
        expecting.remove(id)
    }

    private func load(_ ids: [EndpointID]) async throws {
        guard !ids.isEmpty else { return }
        let uuids = ids.map(\.uuid)
        let records = try await database.query(WebhookStatements.several(uuids))
        let failing = try await database.query(DispatchStatements.failures(uuids))
        let keys: [EndpointID: EndpointKeys]
        do { keys = try await secrets.keys(of: ids, database) } catch is BridgeError { keys = [:] }
        for record in records {
            let lane = lane(of: record.id)
            // Another look, begun later, may have seen more.
            guard record.version >= lane.target?.version ?? 0 else { continue }
            lane.aim(
                EndpointLane.Target(
                    version: record.version, subscription: record.subscription,
                    isBookingEngine: record.client.hasPrefix(DispatchStatements.bookingEngineOwner),
                    isDisabled: record.disabledReason != nil,
                    destination: sender.destination(of: record.id, at: record.subscription.url),
                    keys: keys[record.id] ?? EndpointKeys()))
            lane.streak = FailureStreak()
            if let state = failing.first(where: { $0.0 == record.id }) {
                lane.streak = FailureStreak(
                    since: state.since.microseconds / 1_000_000, reached: .init(rawValue: Int(state.told)))
            }
            // Without keys nothing can be sent; the next look may find some.
            lane.isToBeLoaded = keys[record.id] == nil
            stale.remove(record.id)
            pump(lane)
        }
        for id in Set(ids).subtracting(records.map(\.id)) { remove(id) }
    }

    // MARK: - Taking

    private func take() async {
        var pause = Self.shortestPause
        while !Task.isCancelled {
            let began = Loop.monotonicNanoseconds
            do {
                let count = try await takeEvents() + claimDue()
                pause = count > 0 ? Self.shortestPause : min(pause * 2, Self.longestPause)
                if !stale.isEmpty { await loadStale() }
                if count >= Self.batch { continue }
            } catch {
                note(error, "webhooks' events not taken")
                // Something may have been claimed, of which no answer has told.
                isDoubtful = isDoubtful || !((error as? PostgresError)?.hadNoEffect ?? false)
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
        guard let session, !isClosing, !isDoubtful else { return 0 }
        let now = Loop.monotonicNanoseconds
        let usual = inHand < Self.capacity ? Self.usualRoom : 0
        let scarce = lanes.values.lazy.map { ($0.id.uuid, Int32(min($0.room(at: now), usual))) }.filter { $0.1 < usual }
        let isWhole = now - lastWholeLook >= Self.wholeLookInterval
        metrics.statements.increment()
        let rows = try await database.query(
            DispatchStatements.fanOut(
                session, Int32(Self.batch), isWhole ? 0 : floors.before, scarce.map(\.0), scarce.map(\.1),
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
            case .waiting: expect(lane(of: endpoint), after: 0)
            case .dead: break
            }
        }
        highest = max(highest, rows.last?.position ?? 0)
        if events < Self.batch {
            if isWhole { lastWholeLook = now }
            if now - lastFloor >= Self.floorInterval {
                lastFloor = now
                floors = (highest, floors.last)
            }
        }
        metrics.events.increment(by: UInt64(events))
        accept(claimed, of: session)
        return events
    }

    /// - Returns: how many there were.
    private func claimDue() async throws -> Int {
        guard let session, !isClosing, !isDoubtful, inHand < Self.capacity else { return 0 }
        let now = Loop.monotonicNanoseconds
        var asked: [(EndpointLane, Int)] = []
        for id in expecting {
            guard let lane = lanes[id], let due = lane.nextDue, due <= now else { continue }
            let room = lane.room(at: now)
            if room > 0, lane.target?.isDisabled != true { asked.append((lane, room)) }
        }
        guard !asked.isEmpty else { return 0 }
        for (lane, _) in asked { lane.nextDue = nil }
        metrics.statements.increment()
        let deliveries: [ClaimedDelivery]
        do {
            deliveries = try await database.query(
                DispatchStatements.claim(session, asked.map(\.0.id.uuid), asked.map { Int32($0.1) }))
        } catch {
            for (lane, _) in asked { lane.expect(at: now) }
            throw error
        }
        let counts = Dictionary(grouping: deliveries, by: \.endpoint).mapValues(\.count)
        for (lane, room) in asked {
            // As many as were asked for: there may be more.
            if counts[lane.id] == room { lane.expect(at: now) }
            if lane.nextDue == nil { expecting.remove(lane.id) }
        }
        accept(deliveries, of: session)
        return deliveries.count
    }

    private func accept(_ deliveries: [ClaimedDelivery], of session: Int64) {
        // What a session has claimed that was over by then is others'.
        guard session == self.session else { return }
        inHand += deliveries.count
        var touched: Set<EndpointID> = []
        for delivery in deliveries {
            // Nothing is left to be sent.
            guard delivery.isKept else {
                end(delivery, .removed)
                continue
            }
            let lane = lane(of: delivery.endpoint)
            lane.append(delivery)
            if delivery.endpointVersion > lane.target?.version ?? 0 { stale.insert(lane.id) }
            touched.insert(lane.id)
        }
        for id in touched.subtracting(stale) { if let lane = lanes[id] { pump(lane) } }
    }

    private func loadStale() async {
        let ids = Array(stale)
        do { try await load(ids) } catch {
            note(error, "webhooks' endpoints not read")
            for id in ids { if let lane = lanes[id] { release(lane.takeAll(), after: 1000) } }
        }
        stale.subtract(ids)
    }

    private func expect(_ lane: EndpointLane, after wait: Int64) {
        lane.expect(at: Loop.monotonicNanoseconds + UInt64(max(0, wait)) * 1_000_000)
        expecting.insert(lane.id)
    }

    // MARK: - Sending

    /// Begins as many of a lane's deliveries as may begin now.
    private func pump(_ lane: EndpointLane) {
        guard let target = lane.target, let session, !stale.contains(lane.id) else { return }
        if isClosing { return release(lane.takeAll(), after: 0) }
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
        if session == self.session {
            settlements.append(
                Settlement(
                    delivery: delivery.id, session: session, result: result, wait: decision.wait,
                    attempt: made.record))
            if case .retry = decision { expect(lane, after: decision.wait + 1) }
        }
        metrics.count(lane.id, result, nanoseconds: now - began, isReused: made.isConnectionReused)
        if result == .delivered, delivery.attempts == 0 {
            metrics.recordLatency(microseconds: Instant.now.microseconds - delivery.happenedAt.microseconds)
        }
        if target.subscription.isOrdered { expect(lane, after: 1) }
        await note(outcome, of: target, in: lane)
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
        if attempt.session == session { release([attempt.delivery], after: Self.ownFaultPause) }
        pump(attempt.lane)
    }

    /// Keeps in mind how long the endpoint has done nothing but fail, and disables it in the end.
    private func note(_ outcome: DeliveryOutcome, of target: EndpointLane.Target, in lane: EndpointLane) async {
        let before = lane.streak
        // Whoever settles that something has arrived ends what is written down of failures.
        guard !outcome.isSuccess else { return lane.streak.end() }
        do {
            if outcome.statusFailure == .gone {
                try await database.execute(Self.disabling(lane, target, "gone"))
                return try await noteDisabled(lane, "gone")
            }
            let milestones = lane.streak.fail(at: Instant.now.microseconds / 1_000_000, limit: policy.disablingTime)
            if before.since == nil { try await database.execute(DispatchStatements.beginFailures(lane.id)) }
            guard let milestone = milestones.last else { return }
            let transaction = try await database.begin()
            let told = DispatchStatements.tellOfFailures(lane.id, Int16(milestone.rawValue))
            guard try await transaction.first(told) != nil else {
                // Another has told of it, or something has arrived by another.
                transaction.rollback()
                return try await load([lane.id])
            }
            try await transaction.commit(milestone == .all ? [Self.disabling(lane, target, "failing")] : [])
            if milestone == .all { try await noteDisabled(lane, "failing") }
        } catch {
            lane.streak = before
            note(error, "failures of a webhook's endpoint not written down")
        }
    }

    /// Disables an endpoint that is where it was tried.
    private static func disabling(
        _ lane: EndpointLane, _ target: EndpointLane.Target, _ reason: String
    ) -> Query<Void> {
        DispatchStatements.disable(lane.id, reason, BookingJournal.drawbridge, target.subscription.url)
    }

    private func noteDisabled(_ lane: EndpointLane, _ reason: String) async throws {
        Log.warning(
            "webhook's endpoint disabled", ["endpoint_id": .init(lane.id.description), "reason": .init(reason)])
        try await load([lane.id])
    }

    // MARK: - Settling

    private func end(_ delivery: ClaimedDelivery, _ result: Settlement.Result) {
        guard let session else { return }
        settlements.append(Settlement(delivery: delivery.id, session: session, result: result))
    }

    /// Puts deliveries back that were not begun.
    ///
    /// - Parameter wait: in milliseconds.
    private func release(_ deliveries: ArraySlice<ClaimedDelivery>, after wait: Int64) {
        guard let session, let first = deliveries.first else { return }
        for delivery in deliveries {
            settlements.append(
                Settlement(delivery: delivery.id, session: session, result: .release, wait: wait))
        }
        expect(lane(of: first.endpoint), after: wait + 1)
    }

    private func settled(_ held: Int, of count: Int) {
        metrics.statements.increment()
        metrics.lostClaims.increment(by: UInt64(count - held))
        inHand -= count
    }

    private func note(_ error: any Error, _ message: StaticString) {
        guard !Task.isCancelled, let omitted = failures.admit(at: Loop.monotonicNanoseconds) else { return }
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

// MARK: - From one vocabulary to another

extension Settlement.Result {
    fileprivate init(_ decision: DeliveryDecision) {
        self =
            switch decision {
            case .delivered: .delivered
            case .retry: .retry
            case .deadLetter: .dead
            case .endpointGone: .gone
            }
    }
}

extension DeliveryDecision {
    /// Whether no attempt follows by itself.
    fileprivate var isFinal: Bool { if case .retry = self { false } else { true } }

    /// In milliseconds, until the next attempt.
    fileprivate var wait: Int64 {
        guard case .retry(let delay) = self else { return 0 }
        return delay.components.seconds * 1000 + delay.components.attoseconds / 1_000_000_000_000_000
    }
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
