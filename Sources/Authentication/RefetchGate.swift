/// Decides whether a key id that nobody has heard of is worth asking its issuer again: the issuer may have begun to
/// sign with a new key, or somebody may be making names up.
///
/// A value without a clock: at most one fetch in an interval, whoever asks, and none for a name that a fetch has just
/// not found. So strangers cause no more than two requests a minute to an issuer, however many names they think of.
public struct RefetchGate {
    /// How far apart fetches are at least.
    public static let interval = Duration.seconds(30)
    /// How long a name that was not found is not looked for again.
    public static let negativeLifetime = Duration.seconds(60)
    /// The most names remembered as not found.
    public static let capacity = 256

    private var lastFetch: UInt64?
    private var notFound = BoundedCache<String, UInt64>(capacity: capacity)

    /// A gate that lets the first fetch through.
    public init() {}

    /// Asks whether to fetch for a key id now; the answer yes counts as a fetch.
    ///
    /// - Parameter now: nanoseconds of a clock that never goes back.
    public mutating func admit(_ keyID: String, now: UInt64) -> Bool {
        if let lastFetch, now < lastFetch + Self.nanoseconds(Self.interval) { return false }
        if let since = notFound.value(for: keyID), now < since + Self.nanoseconds(Self.negativeLifetime) {
            return false
        }
        lastFetch = now
        return true
    }

    /// Notes that a fetch has not found a key id.
    public mutating func noteMissing(_ keyID: String, now: UInt64) { notFound.insert(now, for: keyID) }

    private static func nanoseconds(_ duration: Duration) -> UInt64 {
        UInt64(duration.components.seconds) * 1_000_000_000
    }
}
