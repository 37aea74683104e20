/// How the content of one request is coming along.
struct ContentProgress {
    var received: UInt64 = 0
    /// How long the handler gives all of it, where that is less than everybody gets.
    var limit: Duration?
    private var start: UInt64?

    var hasBegun: Bool { start != nil }

    mutating func begin(at nanoseconds: UInt64) { if start == nil { start = nanoseconds } }

    /// How much longer the client may be waited for: what came so far has bought it time.
    func timeLeft(at nanoseconds: UInt64, _ configuration: ServerConfiguration) -> Duration {
        let elapsed = Duration.nanoseconds(Int64(nanoseconds &- (start ?? nanoseconds)))
        var allowed = min(configuration.bodyTimeout, limit ?? configuration.bodyTimeout)
        if configuration.minimumBodyRate > 0 {
            let bought = Duration.seconds(Double(received) / Double(configuration.minimumBodyRate))
            allowed = min(allowed, configuration.bodyRateGrace + bought)
        }
        return allowed - elapsed
    }
}
