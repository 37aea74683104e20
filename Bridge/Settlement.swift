internal import Booking
internal import Webhook

/// What became of a delivery that was claimed.
struct Settlement: Sendable {
    /// The names are those of `webhook_attempts.result`, as far as they come of attempts.
    enum Result: String, Sendable {
        case delivered, retry, dead, gone
        /// No attempt was made: it waits, and nothing is counted.
        case release
        /// No attempt was made, and none will be: its endpoint is disabled.
        case disabled
        /// Likewise: its endpoint is not there any more, or its event is not kept.
        case removed
    }

    let delivery: BookingID
    /// The session that claimed it.
    let session: Int64
    let result: Result
    /// Before it is looked at again, in milliseconds.
    var wait: Int64 = 0
    var attempt = Attempt()

    /// What is kept of an attempt. Times are microseconds.
    struct Attempt: Sendable {
        var startedAt: Int64 = 0
        var status: Int16?
        var error: String?
        var message: String?
        var answer: [UInt8] = []
        var ending: String?
        var address: String?
        var version: String?
        var isReused = false
        var name: Int32 = 0
        var connect: Int32 = 0
        var tls: Int32 = 0
        var firstByte: Int32 = 0
        var total: Int32 = 0
    }
}

extension Settlement.Result {
    init(_ decision: DeliveryDecision) {
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
    var isFinal: Bool { if case .retry = self { false } else { true } }

    /// In milliseconds, until the next attempt.
    var wait: Int64 {
        guard case .retry(let delay) = self else { return 0 }
        return delay.components.seconds * 1000 + delay.components.attoseconds / 1_000_000_000_000_000
    }
}
