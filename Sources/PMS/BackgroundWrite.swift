/// A write into the PMS that nobody waits for, as it stands between two attempts: the one place that says what becomes of
/// it.
///
/// | outcome | status before | after | attempts |
/// |---|---|---|---|
/// | done | `pending`, `retrying` | `resolved` | + 0 |
/// | not yet possible: the hotel, its front desk or the way to the PMS is busy or closed | `pending`, `retrying` | the same | − 1 |
/// | failed, and the policy has another attempt | `pending`, `retrying` | `retrying` | + 0 |
/// | failed otherwise | `pending`, `retrying` | `dead` | + 0 |
/// | retried by somebody | `dead` | `pending` | 0 |
/// | abandoned by somebody | `dead` | `abandoned` | + 0 |
///
/// An attempt is counted when it begins, so that one that takes its process with it counts as well; one that did not reach
/// the PMS is given back. Nothing becomes of what is resolved or abandoned.
public struct BackgroundWrite: Hashable, Sendable {
    /// Where it stands.
    public enum Status: String, Hashable, Sendable, CaseIterable {
        /// It has not failed yet.
        case pending
        /// It has failed, and is tried again.
        case retrying
        case resolved
        /// Somebody has said, and why, that it is not to be done.
        case abandoned
        /// A dead letter: it has failed as often as it is tried, and waits for somebody to decide.
        case dead

        /// Whether it is tried by itself.
        public var isOpen: Bool { self == .pending || self == .retrying }
    }

    /// What is written.
    public enum Operation: String, Hashable, Sendable, CaseIterable {
        /// The rooms of a hold whose time is over are given back.
        case expireHold = "expire_hold"
        /// A booking that was taken while the PMS could not be reached is made there.
        case settleBooking = "settle_booking"
        /// A booking whose room the front desk has given away moves to another one.
        case moveBooking = "move_booking"

        /// Whether a hotel's writes of this kind are done in the order in which they were made: who came first has the room.
        public var isInOrder: Bool { self == .settleBooking }
    }

    /// What came of an attempt.
    public enum Outcome: Hashable, Sendable {
        /// It took effect, or there was nothing left to do.
        case done
        /// Nothing was tried: whoever is in the way is left alone for now.
        case notYet
        case failed(WriteFailure)

        /// Whether it is of no use to try again.
        public var isFinal: Bool {
            switch self {
            case .done: true
            case .notYet: false
            case .failed(let failure): failure.nature == .permanent
            }
        }
    }

    /// Where it stands then.
    public struct Step: Hashable, Sendable {
        public let write: BackgroundWrite
        /// How long it waits for its next attempt; nil when there is none by itself.
        public let wait: Duration?

        public init(write: BackgroundWrite, wait: Duration?) {
            self.write = write
            self.wait = wait
        }
    }

    public let status: Status
    /// Attempts that have begun since it was made, or retried by somebody.
    public let attempts: Int

    /// A write as it was stored.
    public init(status: Status, attempts: Int) {
        self.status = status
        self.attempts = attempts
    }

    /// Whether its last attempt ended without saying how, and was the last it had.
    public func isSpent(_ policy: RetryPolicy) -> Bool { status.isOpen && attempts > policy.attempts }

    /// What becomes of it after an attempt that has begun.
    ///
    /// - Parameter random: from 0 to 1.
    public func after(_ outcome: Outcome, _ policy: RetryPolicy, random: Double) -> Step {
        guard status.isOpen else { return Step(write: self, wait: nil) }
        switch outcome {
        case .done: return Step(write: BackgroundWrite(status: .resolved, attempts: attempts), wait: nil)
        case .notYet: return postponed(policy, random)
        case .failed(let failure):
            // Nothing was sent: it waits for the PMS's return, however long that takes.
            if failure.kind == .unreachable, policy.retryable.contains(.unreachable) {
                return postponed(policy, random)
            }
            guard let wait = policy.wait(after: attempts, failure, random: random) else {
                return Step(write: BackgroundWrite(status: .dead, attempts: attempts), wait: nil)
            }
            return Step(write: BackgroundWrite(status: .retrying, attempts: attempts), wait: wait)
        }
    }

    private func postponed(_ policy: RetryPolicy, _ random: Double) -> Step {
        Step(
            write: BackgroundWrite(status: status, attempts: max(0, attempts - 1)),
            wait: policy.delay(after: max(1, attempts), random: random))
    }
}
