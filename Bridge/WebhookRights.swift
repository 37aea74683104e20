internal import Authentication
internal import Loop
internal import Postgres
internal import Telemetry
internal import Webhook

/// Disables endpoints of webhooks whose client has lost the hotels they are for, or the scopes that their events take, so that
/// nobody is told of bookings that he may not see any more.
///
/// Of clients that are registered here it is known which hotels they have: by their API keys, and by the policies. Of those that
/// come with tokens of others only the tokens know; when such a client loses a hotel, somebody has to remove its endpoints.
@OnLoop
final class WebhookRights {
    private static let interval = Duration.seconds(5)

    private let database: Database
    /// Clients that the policies register, each with its hotels.
    private var registered: [String: HotelAccess]
    private var failures = LogThrottle()
    private let failed = Metrics.counter(
        "drawbridge_bridge_webhook_rights_failures_total",
        "Times the rights of webhooks' clients could not be looked at.")
    private let disabled = Metrics.counter(
        "drawbridge_bridge_webhooks_uncovered_total",
        "Endpoints disabled because their clients have lost hotels or scopes.")

    init(_ database: Database, registered: [String: HotelAccess]) {
        self.database = database
        self.registered = registered
    }

    /// Goes by other policies.
    func replace(registered: [String: HotelAccess]) { self.registered = registered }

    /// Looks until the task is cancelled. What fails is tried again the next time.
    func run() async {
        while !Task.isCancelled {
            do { try await look() } catch is CancellationError { return } catch {
                failed.increment()
                if let omitted = failures.admit(at: Loop.monotonicNanoseconds) {
                    Log.warning(
                        "rights of webhooks not looked at",
                        ["error": .init(error: error), "lines_omitted": .init(omitted)])
                }
            }
            do { try await Loop.sleep(for: Self.interval) } catch { return }
        }
    }

    private func look() async throws {
        var names: [String] = []
        var hotels: [Int32?] = []
        for (name, access) in registered {
            for hotel in access.ids.map({ $0.map(Optional.some) }) ?? [nil] {
                names.append(name)
                hotels.append(hotel)
            }
        }
        let count = try await database.execute(
            WebhookStatements.disableUncovered(
                names, hotels, "\(Identity.ownClients) ", BookingJournal.drawbridge,
                EventType.allCases.map(\.rawValue), EventType.allCases.map(\.scope.rawValue)))
        guard count > 0 else { return }
        disabled.increment(by: UInt64(count))
        Log.warning(
            "webhooks disabled: their clients have lost hotels or scopes; the audit log says which",
            ["count": .init(count)])
    }
}
