/// How webhooks are delivered, where an installation may choose.
public struct DeliveryPolicy: Sendable, Hashable {
    /// When failed deliveries are tried again.
    public var schedule = RetrySchedule()
    /// The retries of a subscription that asks for none in particular.
    public var retries = WebhookRetryPolicy.standard
    /// The longest time that a receiver's `Retry-After` can ask for.
    public var longestRetryAfter = Duration.seconds(24 * 3600)
    /// What each endpoint is spared, where its subscription asks for nothing else.
    public var gate = EndpointGate.Limits()
    /// After how long of nothing but failure an endpoint is disabled.
    public var disablingTime = Duration.seconds(5 * 86_400)
    /// Whether clients may have events sent only to where they have shown that they have a say.
    public var requiresOwnership = false
    /// The defaults.
    public init() {}
}
