internal import Authentication
internal import Catalogue
internal import Inbound
internal import Loop
internal import Policy
internal import Postgres
internal import Telemetry

/// Acts on the webhooks that others have sent to us: claims those that are due, any bridge's share, lets read from the PMS what they
/// ask for, and leaves dead letters of those that failed as often as they are tried.
///
/// Messages that ask for the same are one reading: it begins after they were claimed, and so after whatever they tell of.
@OnLoop
final class InboundQueue {
    /// How often it looks without being told to.
    private static let interval = Duration.seconds(1)
    /// How often the figures are counted, and up to how many.
    private static let countingInterval = Duration.seconds(5)
    private static let countingBound: Int64 = 10_001

    /// Messages that are claimed at once, and that are under way.
    private static let batch = 50
    private static let bound = 200
    /// How long all that a message asks for may take; and how long a claim holds of which nobody hears any more, which is longer.
    private static let patience = Duration.seconds(30)
    private static let leaseMilliseconds: Int64 = 45_000

    private let database: Database
    private let hotels: HotelDirectory
    private let refresher: CatalogueRefresher
    private let triggers: CacheTriggers
    private var sources: [String: InboundSource]
    private var retries: InboundRetries
    private var underWay = 0
    private let due = Signal()
    private var failures = LogThrottle()
    private var figures = InboundFigures(waiting: 0, age: 0)
    private let ended: [InboundMessage.Status: Counter]
    private let delay = Metrics.histogram(
        "drawbridge_bridge_inbound_delay_seconds", "Time from when a webhook to us was taken until it was acted on.")

    init(
        _ policy: InboundPolicy, _ database: Database, _ hotels: HotelDirectory, _ refresher: CatalogueRefresher,
        _ triggers: CacheTriggers
    ) {
        self.database = database
        self.hotels = hotels
        self.refresher = refresher
        self.triggers = triggers
        sources = policy.sourcesByName
        retries = policy.retries
        ended = Dictionary(
            uniqueKeysWithValues: InboundMessage.Status.allCases.filter { $0 != .pending }.map { status in
                (
                    status,
                    Metrics.counter(
                        "drawbridge_bridge_inbound_attempts_total",
                        "Attempts to act on webhooks to us, by what became of the message.",
                        [("outcome", status.rawValue)])
                )
            })
        Metrics.gauge(
            "drawbridge_bridge_inbound_waiting", "Webhooks to us that wait to be acted on; counted up to 10,001."
        ) { [unowned self] in Double(figures.waiting) }
        Metrics.gauge(
            "drawbridge_bridge_inbound_age_seconds", "Age of the oldest webhook to us that waits to be acted on."
        ) { [unowned self] in figures.age }
    }

    /// Goes by another policy from the next message on.
    func replace(_ policy: InboundPolicy) {
        sources = policy.sourcesByName
        retries = policy.retries
    }

    /// Lets it look at once.
    func wake() { due.fire() }

    /// Works until the task is cancelled. What is under way then is another bridge's, or the next one's, when its claim is over.
    func run() async {
        await withDiscardingTaskGroup { group in
            group.addTask { await self.count() }
            while !Task.isCancelled {
                do {
                    let deadline = Deadline { self.due.fire() }
                    deadline.set(Self.interval)
                    defer { deadline.cancel() }
                    try await due.wait()
                    while underWay < Self.bound {
                        let messages = try await claim()
                        guard !messages.isEmpty else { break }
                        for part in parts(of: messages) { group.addTask { await self.work(on: part) } }
                    }
                } catch {
                    // The database is away, which its own log says.
                    Log.debug("webhooks to us not looked for", ["error": .init(error: error)])
                }
            }
        }
    }

    private func claim() async throws -> [ClaimedMessage] {
        let limit = min(Self.batch, Self.bound - underWay)
        let messages = try await database.query(InboundStatements.claim(Int32(limit), Self.leaseMilliseconds))
        underWay += messages.count
        return messages
    }

    // MARK: Acting

    /// Messages about which the same is to be done.
    private struct Part {
        let work: Work
        var messages: [ClaimedMessage]
    }

    private enum Work: Equatable {
        case refresh(InboundSource, RefreshOrder)
        case reject(InboundRejection)
        /// No attempt came to an end, and there is none left.
        case giveUp
    }

    private func parts(of messages: [ClaimedMessage]) -> [Part] {
        var parts: [Part] = []
        for message in messages {
            let work = work(asked: message)
            if let index = parts.firstIndex(where: { $0.work == work }) {
                parts[index].messages.append(message)
            } else {
                parts.append(Part(work: work, messages: [message]))
            }
        }
        return parts
    }

    private func work(asked message: ClaimedMessage) -> Work {
        if message.state.isSpent(retries) { return .giveUp }
        guard let source = sources[message.source] else { return .reject(.sourceUnknown) }
        do throws(InboundRejection) { return .refresh(source, try source.order(by: message.content)) } catch {
            return .reject(error)
        }
    }

    private func work(on part: Part) async {
        defer {
            underWay -= part.messages.count
            due.fire()
        }
        let claimed = Loop.monotonicNanoseconds
        switch part.work {
        case .giveUp: await settle(part.messages, .failed("no attempt came to an end"), hotel: nil, claimed)
        case .reject(let rejection): await settle(part.messages, .rejected(rejection), hotel: nil, claimed)
        case .refresh(let source, let order):
            let outcome = await carryOut(order, for: source)
            // Whoever takes the messages over tries them again.
            guard !Task.isCancelled else { return }
            await settle(part.messages, outcome, hotel: order.hotel, claimed)
        }
    }

    private func carryOut(_ order: RefreshOrder, for source: InboundSource) async -> InboundMessage.Outcome {
        do {
            return try await Loop.withDeadline(Self.patience, "act on a webhook to us") { [self] in
                try await refresh(order, for: source)
            }
        } catch let failure as RefreshFailure where failure.unknownHotels.contains(order.hotel) {
            return .rejected(.hotelUnknown)
        } catch BridgeError.unreadableHotel {
            return .failed("the hotel cannot be read from the property management system")
        } catch {
            if !Task.isCancelled, let omitted = failures.admit(at: Loop.monotonicNanoseconds) {
                Log.warning(
                    "webhook to us not acted on",
                    [
                        "source": .init(source.name), "hotel_id": .init(order.hotel), "error": .init(error: error),
                        "lines_omitted": .init(omitted),
                    ])
            }
            return .failed(Self.reason(of: error))
        }
    }

    private func refresh(_ order: RefreshOrder, for source: InboundSource) async throws -> InboundMessage.Outcome {
        for scope in scopes(of: order) {
            if case .availability = scope, try hotels.described(order.hotel) == nil { return .rejected(.hotelUnknown) }
            let trigger = try await triggers.open(
                scope.kind, [order.hotel], by: InboundSender.identity(source.name, hotelIDs: source.hotelIDs))
            let outcome = try await refresher.refresh(scope, for: trigger)
            if let failure = outcome.failures.first { return .failed(failure.reason) }
        }
        return .done
    }

    /// In words that may be shown to an administrator.
    private static func reason(of error: any Error) -> String {
        // Those of a reading itself have become a `RefreshFailure`: these are of whoever waits for one.
        switch (error as? LoopError)?.code {
        case .timedOut: "the hotel was not read within \(patience.components.seconds) s"
        case .tooLarge: "too many other readings wait"
        default: RefreshFailure(error).reason
        }
    }

    private func scopes(of order: RefreshOrder) -> [CatalogueRefresher.Scope] {
        let catalogue: [CatalogueRefresher.Scope] = [.hotels([order.hotel]), .roomTypes([order.hotel])]
        let availability = CatalogueRefresher.Scope.availability(order.hotel, type: nil, nights: nil)
        return switch order.refresh {
        case .availability: [availability]
        case .hotel: catalogue
        case .everything: catalogue + [availability]
        }
    }

    /// Writes down what came of an attempt; where that cannot be, it counts as one that ended without a word. Messages that are
    /// another bridge's by now, this one says nothing of.
    ///
    /// - Parameter claimed: when they were, on the loop's clock.
    private func settle(
        _ messages: [ClaimedMessage], _ outcome: InboundMessage.Outcome, hotel: Int32?, _ claimed: UInt64
    ) async {
        let steps = messages.map { $0.state.after(outcome, retries, random: .random(in: 0...1)) }
        let settled: Set<Int64>
        do {
            settled = Set(
                try await database.query(
                    InboundStatements.settle(
                        messages.map(\.id), messages.map(\.receivedAt), messages.map(\.claims),
                        steps.map(\.status.rawValue), steps.map(\.reason), steps.map { $0.wait?.milliseconds },
                        messages.map { _ in hotel })))
        } catch {
            Log.debug("outcome of a webhook to us not written down", ["error": .init(error: error)])
            return
        }
        let taken = Loop.monotonicNanoseconds - claimed
        for (message, step) in zip(messages, steps) where settled.contains(message.id) {
            ended[step.status]?.increment()
            if step.status == .processed { delay.record(nanoseconds: UInt64(max(0, message.age) * 1e9) + taken) }
            if step.status == .rejected || step.status == .dead {
                Log.warning(
                    "webhook to us came to nothing",
                    [
                        "message_id": .init(message.id), "source": .init(message.source),
                        "status": .init(step.status.rawValue), "reason": .init(step.reason ?? ""),
                    ])
            }
        }
    }

    /// Counts what waits, for the metrics, until the task is cancelled.
    private func count() async {
        while !Task.isCancelled {
            do {
                if let counted = try await database.first(InboundStatements.figures(Self.countingBound)) {
                    figures = counted
                }
            } catch {
                Log.debug("webhooks to us not counted", ["error": .init(error: error)])
            }
            do { try await Loop.sleep(for: Self.countingInterval) } catch { return }
        }
    }
}

extension ClaimedMessage {
    /// The schema has these statuses only.
    fileprivate var state: InboundMessage {
        InboundMessage(status: InboundMessage.Status(rawValue: status) ?? .pending, attempts: Int(attempts))
    }
}
