extension BridgePolicy {
    /// What happens to writes into the PMS that fail.
    public struct PMSWrites: Sendable, Equatable {
        /// How often one is tried at most, the first time included.
        public var attempts = 3
        /// The wait after the first attempt.
        public var initialDelay = Duration.seconds(1)
        /// By how much each wait is longer than the one before.
        public var multiplier = 2
        /// The longest wait, before jitter.
        public var longestDelay = Duration.seconds(30)
        /// By how many per cent of it a wait is lengthened at most, at random.
        public var jitterPercentage = 50
        /// After which failures it is tried again at all.
        public var retryableErrors = Set(Failure.allCases)
        /// Failures after which trying again may help, by the names that `WriteFailure.Kind` gives them.
        public enum Failure: String, Sendable, CaseIterable {
            case unreachable
            case connectionLost = "connection_lost"
            case timedOut = "timed_out"
            case busy, collision
            case serverError = "server_error"
        }

        /// The defaults.
        public init() {}
    }
}

extension BridgePolicy.PMSWrites {
    init(reading mapping: PolicyMapping) {
        attempts = mapping.integer("attempts", in: 1...20, default: attempts)
        initialDelay = mapping.duration(
            "initial_delay", in: .milliseconds(10)...Duration.seconds(60), default: initialDelay)
        multiplier = mapping.integer("multiplier", in: 1...10, default: multiplier)
        longestDelay = mapping.duration(
            "longest_delay", in: .milliseconds(10)...Duration.seconds(3600), default: longestDelay)
        jitterPercentage = mapping.integer("jitter_percentage", in: 0...50, default: jitterPercentage)
        if longestDelay < initialDelay {
            (mapping.optional("longest_delay") ?? mapping.optional("initial_delay"))?
                .refuse(expected: "initial_delay to be at most longest_delay")
        }
        if let node = mapping.optional("retryable_errors") {
            retryableErrors = Set(node.elements().compactMap { $0.choice(Failure.self) })
        }
    }
}
