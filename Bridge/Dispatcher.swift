internal import Booking
internal import Egress
internal import Fetch
internal import HTTP
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
/// No more statements are under way than one that takes and one that settles, each for as many deliveries as there are then: the
/// more there is to do, the fewer they are for each.
@OnLoop
final class Dispatcher {
    /// Events that are taken at once, and deliveries that are settled at once.
    private static let batch = 250
    /// Deliveries of one endpoint that are claimed at once where nothing is known of it.
    private static let usualRoom = 20
    /// Deliveries in hand above which no more are claimed; what is in the outbox goes on to wait then.
    private static let capacity = 20_000
    /// How long it waits between two looks: at least while there was something, at most when there has been nothing.
    private static let shortestPause = Duration.milliseconds(10)
    private static let longestPause = Duration.milliseconds(40)
    private static let heartbeatInterval = Duration.seconds(1)
    /// How long it looks for events only behind those of at least so long ago; then once for all, of which some may have been
    /// committed late. Where somebody's old snapshot keeps PostgreSQL from removing those that were taken, looking for all means
    /// going past every one of them.
    private static let wholeLookInterval: UInt64 = 1_000_000_000
    /// After so many heartbeats that a session has not given, others take over.
    private static let lease: Int64 = 10_000
    /// Heartbeats between two looks at slots that can be emptied, and at what removed endpoints have left.
    private static let beatsPerSweeping = 10
    /// For how long an endpoint whose secrets cannot be opened is left alone.
    private static let keylessPause: Int64 = 10_000
    /// For how long a delivery waits that could not be begun.
    private static let ownFaultPause: Int64 = 1000
    /// What is kept of what is said about a failure, in bytes of UTF-8.
    private static let longestMessage = 512

    private let database: Database
    private let secrets: WebhookSecrets
    private var egress: EgressPolicy
    private let policy: DeliveryPolicy
    private var courier: Courier
    /// Those of policies before, until what they have on its way has ended.
    private var formerCouriers: [Courier] = []
    private var lanes: [EndpointID: EndpointLane] = [:]
    /// Lanes that may have something in the database to claim.
    private var expecting: Set<EndpointID> = []
    /// The session's number; nil where there is none.
    private var session: Int64?
    private var inHand = 0
    /// The highest position of an event that it has taken, and what that was when it had last looked for all, and the time
    /// before.
    private var highest: Int64 = 0
    private var floors: (last: Int64, before: Int64) = (0, 0)
    private var lastWholeLook: UInt64 = 0
    private var settlements: [Settlement] = []
    private var begun: [BegunAttempt] = []
    private let poll = Signal()
    private let settle = Signal()
    private let send = Signal()
    private var isClosing = false
    /// Whether nobody knows what the session has claimed.
    private var isDoubtful = false
    private var failures = LogThrottle()
    private var metrics: DispatchMetrics!

    init(_ configuration: BridgeConfiguration, _ secrets: WebhookSecrets) throws {
        // Connections of its own, so that it holds nobody up and nobody it.
        var own = configuration.database
        own.name = "dispatcher"
        own.connections = 3
        // No table here has a partition per hotel, and what is planned anew each time costs more than what it does.
        own.sessionSettings["plan_cache_mode"] = "force_generic_plan"
        // Such a plan is often made while tables are empty, when reading them whole looks cheap; a backlog would be read whole for
        // every delivery then.
        own.sessionSettings["enable_seqscan"] = "off"
        own.sessionSettings["enable_bitmapscan"] = "off"
        // What is read whole nevertheless counts as so dear then that it would be compiled.
        own.sessionSettings["jit"] = "off"
        database = try Database(own)
        self.secrets = secrets
        let egress = configuration.changeable.egress
        self.egress = egress
        var policy = configuration.policy.webhooks
        // A request may wait for its turn as long as it may take.
        policy.gate.longestAttempt = egress.terms.totalDeadline * 2 + .seconds(10)
        self.policy = policy
        courier = Courier(egress.egressGuard, egress.terms)
        if configuration.isDemo {
            Log.info("this is the demo: webhooks may be sent to this machine, without TLS")
        }
        metrics = DispatchMetrics(
            inHand: { [weak self] in self?.inHand ?? 0 },
            conditions: { [weak self] condition in
                self?.lanes.values.count { $0.gate.condition == condition } ?? 0
            })
    }

    /// Goes by another policy from the next attempt on.
    func replace(_ next: EgressPolicy) {
        guard next != egress else { return }
        egress = next
        formerCouriers.append(courier)
        courier = Courier(next.egressGuard, next.terms)
        Task { await self.aimAnew() }
    }

    private func aimAnew() async {
        do { try await load(Array(lanes.keys)) } catch { note(error, "webhooks' endpoints not read") }
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
            group.addTask { await self.take() }
            group.addTask { await self.settleAll() }
            while (try? await send.wait()) != nil {
                for attempt in begun { group.addTask { await self.carryOut(attempt) } }
                begun = []
            }
            group.cancelAll()
        }
        for lane in lanes.values { lane.timer.cancel() }
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
            try await endSession(session, silence: nil)
            self.session = nil
        } catch { note(error, "webhooks' session not ended; others wait until its lease is over") }
    }

    // MARK: - The session

    private func keepSession() async {
        var beats = 0
        while !Task.isCancelled {
            do {
                try await beat()
                if beats % Self.beatsPerSweeping == 0 {
                    try await database.execute(DispatchStatements.sweepRemoved())
                    _ = try await database.query(DispatchStatements.emptySlots())
                }
                beats += 1
            } catch { note(error, "webhooks' session not kept") }
            do { try await Loop.sleep(for: Self.heartbeatInterval) } catch { return }
        }
    }

    private func beat() async throws {
        if let current = session {
            if isDoubtful {
                // What it has claimed is free then; and what is still to be claimed in its name comes too late.
                try await endSession(current, silence: nil)
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
        try await refresh()
        for id in try await database.query(WebhookStatements.withoutSecret()) {
            try await secrets.makeFirst(of: id, database)
        }
        for id in try await database.query(DispatchStatements.due()) { expect(lane(of: id), after: 0) }
        _ = try await database.query(DispatchStatements.sweep())
        metrics.figures = try await database.first(DispatchStatements.figures())
    }

    private func forget() {
        for lane in lanes.values { _ = lane.takeAll() }
        metrics.lostClaims.increment(by: UInt64(inHand))
        inHand = 0
        settlements = []
        session = nil
        isDoubtful = false
        Log.warning("webhooks' session was over; what it had is anybody's")
    }

    /// - Parameter silence: ends those that have been silent for so many milliseconds; nil for none but this one.
    private func endSession(_ own: Int64?, silence: Int64?) async throws {
        let transaction = try await database.begin()
        let ended = try await transaction.query(DispatchStatements.end(own, silence ?? .max / 1_000_000))
        guard !ended.isEmpty else { return transaction.rollback() }
        try await transaction.commit([DispatchStatements.free(ended)])
        guard own == nil else { return }
        Log.warning("webhooks of a dispatcher that is gone are anybody's", ["sessions": .init(ended.count)])
        poll.fire()
    }

    // MARK: - Endpoints

    private func lane(of id: EndpointID) -> EndpointLane {
        if let lane = lanes[id] { return lane }
        let lane = EndpointLane(id, policy.gate) { [weak self] in
            guard let self, let lane = self.lanes[id] else { return }
            self.pump(lane)
        }
        lanes[id] = lane
        return lane
    }

    /// Goes by endpoints that have changed as they are now.
    private func refresh() async throws {
        let changed = try await database.query(DispatchStatements.changed(15))
        try await load(changed.filter { lanes[$0.0].map { $0.target?.version } != $0.1 && lanes[$0.0] != nil }.map(\.0))
        let removed = try await database.query(DispatchStatements.removed(lanes.keys.map(\.uuid)))
        for id in removed { remove(id) }
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
            lane.aim(
                EndpointLane.Target(
                    version: record.version, subscription: record.subscription,
                    isBookingEngine: record.client.hasPrefix(DispatchStatements.bookingEngineOwner),
                    isDisabled: record.disabledReason != nil, destination: destination(of: record),
                    keys: keys[record.id] ?? EndpointKeys()))
            lane.streak = FailureStreak()
            if let state = failing.first(where: { $0.0 == record.id }) {
                lane.streak = FailureStreak(
                    since: state.since.microseconds / 1_000_000, reached: .init(rawValue: Int(state.told)))
            }
            pump(lane)
        }
        for id in Set(ids).subtracting(records.map(\.id)) { remove(id) }
    }

    private func destination(of record: EndpointRecord) -> Result<Destination, EgressRefusal> {
        Result { () throws(EgressRefusal) in
            try egress.egressGuard.destination(
                record.subscription.url, allowing: egress.allowed(for: record.id.description))
        }
    }

    // MARK: - Taking

    private func take() async {
        var pause = Self.shortestPause
        while !Task.isCancelled {
            let began = Loop.monotonicNanoseconds
            do {
                let count = try await takeEvents() + claimDue()
                pause = count > 0 ? Self.shortestPause : min(pause * 2, Self.longestPause)
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
        if isWhole, events < Self.batch {
            lastWholeLook = now
            floors = (highest, floors.last)
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
            lane(of: delivery.endpoint).append(delivery)
            touched.insert(delivery.endpoint)
        }
        var stale: [EndpointID] = []
        for id in touched {
            guard let lane = lanes[id] else { continue }
            let version = lane.target?.version ?? 0
            if deliveries.contains(where: { $0.endpoint == id && $0.endpointVersion > version }) {
                stale.append(id)
            } else {
                pump(lane)
            }
        }
        guard !stale.isEmpty else { return }
        Task { await self.loadOrRelease(stale) }
    }

    private func loadOrRelease(_ ids: [EndpointID]) async {
        do { try await load(ids) } catch {
            note(error, "webhooks' endpoints not read")
            for id in ids { if let lane = lanes[id] { release(lane.takeAll(), after: 1000) } }
        }
    }

    private func expect(_ lane: EndpointLane, after wait: Int64) {
        lane.expect(at: Loop.monotonicNanoseconds + UInt64(max(0, wait)) * 1_000_000)
        expecting.insert(lane.id)
    }

    // MARK: - Sending

    /// Begins as many of a lane's deliveries as may begin now.
    private func pump(_ lane: EndpointLane) {
        guard let target = lane.target, let session else { return }
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
        let startedAt = Instant.now
        var record = Settlement.Attempt()
        record.startedAt = startedAt.microseconds
        let outcome: DeliveryOutcome
        var isReused: Bool?
        do {
            let reply = try await transmit(delivery, to: target, at: startedAt.microseconds / 1_000_000)
            let pause = reply.retryAfter.flatMap {
                RetryAfter.delay($0, now: Instant.now.microseconds / 1_000_000, longest: policy.longestRetryAfter)
            }
            outcome = .answered(status: reply.status, retryAfter: pause)
            record.take(reply)
            isReused = reply.isConnectionReused
        } catch let error as SendError {
            guard let failure = DeliveryOutcome.TransportFailure(error.code) else {
                note(error, "webhook not sent, for a reason of our own")
                return giveBack(attempt, after: Self.ownFaultPause)
            }
            outcome = .failed(failure)
            record.take(error.timings)
            record.message = error.message.prefix(bytes: Self.longestMessage)
        } catch let error as EgressRefusal {
            outcome = .failed(.egressRefused)
            record.message = "\(error)".prefix(bytes: Self.longestMessage)
        } catch {
            // The process stops, or the secret has just expired.
            return giveBack(attempt, after: Self.ownFaultPause)
        }
        record.error = outcome.reason
        let now = Loop.monotonicNanoseconds
        closeFormerCouriers()
        lane.underWay -= 1
        lane.gate.finish(attempt.ticket, outcome, at: now)
        let decision = DeliveryDecision(
            after: outcome, attempts: delivery.attempts + 1, retries: target.subscription.retryPolicy,
            schedule: policy.schedule, random: .random(in: 0...1))
        let result = Settlement.Result(decision)
        if session == self.session {
            settlements.append(
                Settlement(
                    delivery: delivery.id, session: session, result: result, wait: decision.wait, attempt: record))
            settle.fire()
            if case .retry = decision { expect(lane, after: decision.wait + 1) }
        }
        metrics.count(lane.id, result, nanoseconds: now - began, isReused: isReused)
        if result == .delivered, delivery.attempts == 0 {
            metrics.recordLatency(microseconds: Instant.now.microseconds - delivery.happenedAt.microseconds)
        }
        if target.subscription.isOrdered { expect(lane, after: 1) }
        if target.isBookingEngine, result == .delivered || result == .dead {
            do {
                try await database.execute(
                    DispatchStatements.noteBookingEngine(
                        [delivery.event], result == .delivered, "The booking engine could not be told"))
            } catch { note(error, "not written down whether a booking engine was told") }
        }
        await note(outcome, in: lane)
        pump(lane)
        if lane.room(at: now) > 0, lane.nextDue != nil { poll.fire() }
    }

    /// No attempt was made that counts.
    private func giveBack(_ attempt: BegunAttempt, after wait: Int64) {
        attempt.lane.underWay -= 1
        attempt.lane.gate.withdraw(attempt.ticket)
        if attempt.session == session { release([attempt.delivery], after: wait) }
    }

    private func closeFormerCouriers() {
        for courier in formerCouriers where courier.underWay == 0 { courier.close() }
        formerCouriers.removeAll { $0.underWay == 0 }
    }

    private func transmit(
        _ delivery: ClaimedDelivery, to target: EndpointLane.Target, at now: Int64
    ) async throws -> Reply {
        let destination = try target.destination.get()
        let body = try target.subscription.payload.content(of: delivery.payload)
        guard let signature = target.keys.signature(delivery.event.description, body, at: now) else {
            throw CancellationError()
        }
        return try await courier.send(body, to: destination, fields: signature.fields)
    }

    /// Keeps in mind how long the endpoint has done nothing but fail, and disables it in the end.
    private func note(_ outcome: DeliveryOutcome, in lane: EndpointLane) async {
        do {
            if outcome.statusFailure == .gone {
                try await disable(lane, "gone")
            } else if outcome.isSuccess {
                guard lane.streak.since != nil else { return }
                lane.streak.end()
                try await database.execute(DispatchStatements.endFailures([lane.id.uuid]))
            } else {
                let isFirst = lane.streak.since == nil
                let passed = lane.streak.fail(
                    at: Instant.now.microseconds / 1_000_000, limit: policy.disablingTime)
                if isFirst { try await database.execute(DispatchStatements.beginFailures(lane.id)) }
                guard let milestone = passed.last else { return }
                guard
                    try await database.first(
                        DispatchStatements.tellOfFailures(lane.id, Int16(milestone.rawValue))) != nil
                else {
                    // Another has told of it, or something has arrived by another.
                    return lane.streak.end()
                }
                if milestone == .all { try await disable(lane, "failing") }
            }
        } catch { note(error, "failures of a webhook's endpoint not written down") }
    }

    private func disable(_ lane: EndpointLane, _ reason: String) async throws {
        try await database.execute(DispatchStatements.disable(lane.id, reason, BookingJournal.drawbridge))
        Log.warning(
            "webhook's endpoint disabled", ["endpoint_id": .init(lane.id.description), "reason": .init(reason)])
        try await load([lane.id])
    }

    // MARK: - Settling

    private func end(_ delivery: ClaimedDelivery, _ result: Settlement.Result) {
        guard let session else { return }
        settlements.append(Settlement(delivery: delivery.id, session: session, result: result))
        settle.fire()
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
        settle.fire()
    }

    private func settleAll() async {
        while !Task.isCancelled {
            while let session = settlements.first?.session {
                let next = settlements.prefix { $0.session == session }.prefix(Self.batch)
                do { try await settle(Array(next), of: session) } catch {
                    note(error, "what became of webhooks not written down")
                    do { try await Loop.sleep(for: .milliseconds(200)) } catch { return }
                }
            }
            do { try await settle.wait() } catch { return }
        }
    }

    private func settle(_ batch: [Settlement], of session: Int64) async throws {
        metrics.statements.increment()
        let held = try await database.query(DispatchStatements.settle(batch, of: session))
        // Unless its session was found to be over meanwhile.
        guard session == self.session else { return }
        settlements.removeFirst(batch.count)
        inHand -= batch.count
        metrics.lostClaims.increment(by: UInt64(batch.count - held.count))
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

extension WebhookSignature {
    /// The header of an attempt.
    fileprivate var fields: Fields {
        var fields = Fields()
        fields.append(.contentType, "application/json")
        fields.append("user-agent", "Drawbridge")
        fields.append(Self.idField, id)
        fields.append(Self.timestampField, timestamp)
        fields.append(Self.signatureField, signature)
        return fields
    }
}

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
    /// In milliseconds, until the next attempt.
    fileprivate var wait: Int64 {
        guard case .retry(let delay) = self else { return 0 }
        return delay.components.seconds * 1000 + delay.components.attoseconds / 1_000_000_000_000_000
    }
}

extension DeliveryOutcome.TransportFailure {
    /// Nil for what is no fault of the receiver.
    fileprivate init?(_ code: SendError.Code) {
        switch code {
        case .notBegun, .ownFault: return nil
        case .refused: self = .egressRefused
        case .nameNotFound: self = .nameNotResolved
        case .notConnected: self = .connectFailed
        case .tls: self = .tlsFailed
        case .timedOut: self = .timedOut
        case .connectionLost: self = .connectionLost
        case .malformed: self = .malformedAnswer
        }
    }
}

extension Settlement.Attempt {
    fileprivate mutating func take(_ reply: Reply) {
        status = Int16(clamping: reply.status)
        answer = Array(reply.content.prefix(16_384))
        ending = reply.ending.rawValue
        address = reply.address.description
        version = reply.version.rawValue
        isReused = reply.isConnectionReused
        take(reply.timings)
    }

    fileprivate mutating func take(_ timings: Timings) {
        name = timings.name.microseconds
        connect = timings.connect.microseconds
        tls = timings.tls.microseconds
        firstByte = timings.firstByte.microseconds
        total = timings.total.microseconds
    }
}

extension Duration {
    fileprivate var microseconds: Int32 {
        Int32(clamping: components.seconds * 1_000_000 + components.attoseconds / 1_000_000_000_000)
    }
}

extension String {
    /// As much from the beginning as fits, in whole characters.
    fileprivate func prefix(bytes count: Int) -> String {
        var text = self
        while text.utf8.count > count { text.removeLast() }
        return text
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
