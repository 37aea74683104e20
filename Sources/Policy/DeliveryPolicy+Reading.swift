internal import Webhook

extension DeliveryPolicy {
    private static let delays = Duration.milliseconds(1)...Duration.seconds(7 * 86_400)

    init(reading mapping: PolicyMapping) {
        self.init()
        if let node = mapping.optional("retry_delays") {
            schedule.exponentialDelays = node.elements(atLeast: 1).compactMap { $0.duration(in: Self.delays) }
        }
        schedule.linearStep = mapping.duration("linear_step", in: Self.delays, default: schedule.linearStep)
        schedule.longestDelay = mapping.duration("longest_delay", in: Self.delays, default: schedule.longestDelay)
        schedule.jitterPercentage = mapping.integer("jitter_percentage", in: 0...50, default: schedule.jitterPercentage)
        longestRetryAfter = mapping.duration("longest_retry_after", in: Self.delays, default: longestRetryAfter)
        disablingTime = mapping.duration(
            "disabled_after", in: .seconds(1)...Duration.seconds(30 * 86_400), default: disablingTime)
        requiresOwnership = mapping.truth("require_ownership", default: requiresOwnership)
        gate = mapping.mapping("circuit", absent: gate) { EndpointGate.Limits(reading: $0) }
    }
}

extension EndpointGate.Limits {
    fileprivate init(reading mapping: PolicyMapping) {
        self.init()
        failuresToOpen = mapping.integer("failures", in: 1...1000, default: failuresToOpen)
        firstPause = mapping.duration(
            "first_pause", in: .milliseconds(1)...Duration.seconds(3600), default: firstPause)
        longestPause = mapping.duration(
            "longest_pause", in: firstPause...Duration.seconds(86_400), default: max(firstPause, longestPause))
    }
}
