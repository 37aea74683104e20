internal import Loop
internal import Postgres
internal import Telemetry

/// Which of the bridges on one database does what only one should do: whoever holds an advisory lock, on a connection of its
/// own.
///
/// A leader asks twice a second whether it still holds the lock, and stops its work when it has not heard so for two
/// seconds. The server ends a session of which it has heard nothing for three, and the lock is free: so a leader that stands
/// still or is cut off has stopped before another begins, a killed one is followed at once, and for no longer than
/// five seconds there is none. What a leader writes names its term besides (`requireTerm`): had it stood still in the middle of that,
/// nothing of it is written once another leads.
@OnLoop
final class Leadership {
    /// How often it asks.
    private static let interval = Duration.milliseconds(500)
    /// For how long an answer is good, from when it was asked for.
    private static let validity = Duration.seconds(2)
    /// After how long without a question the server ends the session.
    private static let silence = Duration.seconds(3)

    private let database: Database
    /// The number of this leader's term, above those of all before it; nil while it does not lead.
    private(set) var term: Int64?
    private var listeners: [ObjectIdentifier: Signal] = [:]
    private var failures = LogThrottle()
    private let begun = Metrics.counter("drawbridge_bridge_leaderships_total", "Times that this bridge began to lead.")

    /// - Parameter configuration: of the database that the bridges share.
    init(_ configuration: DatabaseConfiguration) throws {
        var own = configuration
        own.name = "leadership"
        own.connections = 1
        own.callDeadline = Self.validity
        own.connectDeadline = Self.validity
        own.backoff = Backoff(first: .milliseconds(50), longest: Self.interval)
        own.sessionSettings["idle_session_timeout"] = "\(Self.silence.components.seconds)s"
        database = try Database(own)
        Metrics.gauge("drawbridge_bridge_leader", "Whether this bridge is the one that leads.") { [weak self] in
            self?.term == nil ? 0 : 1
        }
    }

    /// Whether this bridge leads.
    var isLeader: Bool { term != nil }

    /// Contends for the lead until the task is cancelled.
    func run() async {
        await withDiscardingTaskGroup { group in
            group.addTask { await self.database.run() }
            await contend()
            group.cancelAll()
        }
        end("it is stopped")
    }

    private func contend() async {
        let expiry = Deadline { self.end("the database does not confirm it") }
        defer { expiry.cancel() }
        while !Task.isCancelled {
            let asked = Loop.monotonicNanoseconds
            do {
                if try await ask() {
                    let age = Duration.nanoseconds(Int64(Loop.monotonicNanoseconds - asked))
                    if age < Self.validity { expiry.set(Self.validity - age) } else { end("the answer came too late") }
                } else {
                    expiry.clear()
                }
            } catch {
                // Whether it still leads is not known; that ends when the last answer is too old.
                if let omitted = failures.admit(at: asked), !Task.isCancelled {
                    Log.warning(
                        "not known which bridge leads", ["error": .init(error: error), "lines_omitted": .init(omitted)])
                }
            }
            do { try await Loop.sleep(for: Self.interval) } catch { return }
        }
    }

    /// - Returns: whether it leads.
    private func ask() async throws -> Bool {
        switch try await database.first(Statements.hold()) {
        case "held" where term != nil: return true
        case "held", "taken":
            // Taken anew, the lock had been lost, and somebody else may have had it meanwhile.
            end("the lock was lost")
            // The connection may have broken in between, and the lock with it: then nothing begins.
            guard let next = try await database.first(Statements.beginTerm()) else { return false }
            term = next
            begun.increment()
            Log.info("bridge leads", ["term": .init(next)])
            tell()
            return true
        default:
            end("another bridge has the lock")
            return false
        }
    }

    private func end(_ reason: String) {
        guard let term else { return }
        self.term = nil
        Log.warning("bridge leads no longer", ["term": .init(term), "reason": .init(reason)])
        tell()
    }

    private func tell() { for listener in listeners.values { listener.fire() } }

    /// Runs `body` whenever this bridge leads, with the number of its term, and cancels it when it leads no longer; until the
    /// task is cancelled.
    func whileLeading(_ body: @escaping @Sendable @OnLoop (Int64) async -> Void) async {
        let change = Signal()
        listeners[ObjectIdentifier(change)] = change
        defer { listeners[ObjectIdentifier(change)] = nil }
        while !Task.isCancelled {
            do {
                while term == nil { try await change.wait() }
            } catch { return }
            guard let mine = term else { continue }
            await withDiscardingTaskGroup { group in
                group.addTask { await body(mine) }
                do { while term == mine { try await change.wait() } } catch {}
                group.cancelAll()
            }
        }
    }

    private enum Statements {
        /// Whether this session has the lock. The first number tells it from those of hotels, which have 17474.
        private static let holdsLock: StaticString = """
            EXISTS (SELECT FROM pg_locks
                    WHERE locktype = 'advisory' AND classid = 17475 AND objid = 1 AND granted AND pid = pg_backend_pid()
                      AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))
            """

        static let hold = Statement<String>(
            "bridge.hold_leadership",
            "SELECT CASE WHEN", holdsLock,
            "THEN 'held' WHEN pg_try_advisory_lock(17475, 1) THEN 'taken' ELSE 'another' END"
        ) { row in try row.next() }

        static let beginTerm = Statement<Int64>(
            "bridge.begin_term",
            "UPDATE drawbridge.leadership SET term = term + 1, since = now() WHERE", holdsLock, "RETURNING term"
        ) { row in try row.next() }
    }
}
