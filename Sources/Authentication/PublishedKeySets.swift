/// What an issuer has published: the set that counts now, for a while those it has shown before, and when to look
/// again.
///
/// A value without a clock and without a network. A set is looked at again after four fifths of the time for which it
/// is fresh. What cannot be had, or is no key set, changes nothing: an issuer that is away locks nobody out whose key
/// we have. Instants are nanoseconds of a clock that never goes back.
public struct PublishedKeySets: Sendable {
    /// What the policy says of an issuer's sets.
    public struct Terms: Sendable, Equatable {
        /// What the issuer may sign with by these keys.
        public var algorithms: Set<SignatureAlgorithm>
        /// How long a set counts as fresh at most.
        public var refresh: Duration
        /// How long a key that has gone from the set is still believed.
        public var overlap: Duration

        /// Terms.
        public init(algorithms: Set<SignatureAlgorithm>, refresh: Duration, overlap: Duration) {
            self.algorithms = algorithms
            self.refresh = refresh
            self.overlap = overlap
        }
    }

    /// The shortest time for which a set counts as fresh, whatever its server says; the policy may say less.
    public static let leastFreshness = Duration.seconds(60)
    private static let firstRetry = Duration.seconds(1)
    private static let lastRetry = Duration.seconds(60)
    /// Sets beside the current one; an issuer that changes its set more often in one overlap loses the oldest.
    private static let earlierBound = 4

    /// What the policy says of them.
    public private(set) var terms: Terms
    /// The set that the issuer shows now, as far as we know.
    public private(set) var current: String?
    /// When to look again.
    public private(set) var due: UInt64 = 0
    /// Whether there ever was a set.
    private var hadSets = false
    private var earlier: [(keySet: String, until: UInt64)] = []
    private var retry = firstRetry

    /// Nothing yet; to be looked for at once.
    public init(_ terms: Terms) { self.terms = terms }

    /// The sets that count now, the current one first.
    public var keySets: [String] { (current.map { [$0] } ?? []) + earlier.map(\.keySet) }

    /// Whether there were sets and none counts any more. Where there never was one, nothing is known of what others
    /// have.
    public var hasEnded: Bool { hadSets && keySets.isEmpty }

    /// Whether a set that counts has a key of that id.
    public func holds(_ keyID: String) -> Bool {
        keySets.contains { keySet in
            (try? KeySet(json: Array(keySet.utf8), algorithms: terms.algorithms))?
                .keys.contains { $0.keyID == keyID } == true
        }
    }

    /// How long to wait before the next look at a set that its server calls fresh for so many seconds.
    public func interval(maximumAge: Int?) -> Duration {
        let said = maximumAge.map { max(Self.leastFreshness, .seconds(min($0, 86_400))) }
        return min(said ?? terms.refresh, terms.refresh) * 4 / 5
    }

    /// Takes over the set as it was found.
    ///
    /// - Parameter interval: how long to wait before the next look.
    /// - Returns: the set where it is another than before.
    /// - Throws: `KeyRefusal` where it is no key set, or one without a key that can be used; then `failed` is to be
    ///   told.
    public mutating func take(
        _ content: [UInt8], lookingAgainAfter interval: Duration, now: UInt64
    ) throws(KeyRefusal) -> KeySet? {
        let text = String(decoding: content, as: UTF8.self)
        let keySet = text == current ? nil : try KeySet(json: content, algorithms: terms.algorithms)
        retry = Self.firstRetry
        due = now + Self.nanoseconds(interval)
        guard let keySet else { return nil }
        retireCurrent(now: now)
        current = text
        hadSets = true
        return keySet
    }

    /// Takes over what another process has found in the same place, later than this one or before it began; the issuer
    /// is asked all the same, when that is due.
    ///
    /// - Returns: whether it is another set than before.
    public mutating func learn(_ text: String, now: UInt64) -> Bool {
        guard text != current, (try? KeySet(json: Array(text.utf8), algorithms: terms.algorithms)) != nil else {
            return false
        }
        retireCurrent(now: now)
        current = text
        hadSets = true
        return true
    }

    /// Notes that a process before this one knew a set, found in another place; how old it is, nobody knows any more.
    public mutating func noteEarlierPlace() { hadSets = true }

    /// Takes over what was found in another place until now; it is believed as long as any key that has gone.
    public mutating func succeed(_ other: PublishedKeySets, now: UInt64) {
        hadSets = hadSets || other.hadSets
        guard terms.overlap > .zero else { return }
        let latest = now + Self.nanoseconds(terms.overlap)
        let others =
            (other.current.map { [($0, latest)] } ?? []) + other.earlier.map { ($0.keySet, min($0.until, latest)) }
        earlier = others.filter { !keySets.contains($0.0) } + earlier
        earlier = Array(earlier.prefix(Self.earlierBound))
    }

    /// Notes that nothing was found; the next look comes soon, and ever later.
    public mutating func failed(now: UInt64) {
        due = now + Self.nanoseconds(retry)
        retry = min(retry * 2, Self.lastRetry)
    }

    /// Forgets sets whose time is over.
    ///
    /// - Returns: whether there were any.
    public mutating func dropEnded(now: UInt64) -> Bool {
        let before = earlier.count
        earlier.removeAll { $0.until <= now }
        return earlier.count < before
    }

    /// Goes by other terms, and looks again at once.
    public mutating func change(to terms: Terms, now: UInt64) {
        self.terms = terms
        let latest = now + Self.nanoseconds(terms.overlap)
        earlier = earlier.map { ($0.keySet, min($0.until, latest)) }
        retry = Self.firstRetry
        due = now
    }

    private mutating func retireCurrent(now: UInt64) {
        guard let current, terms.overlap > .zero else { return }
        earlier.insert((current, now + Self.nanoseconds(terms.overlap)), at: 0)
        earlier = Array(earlier.prefix(Self.earlierBound))
    }

    private static func nanoseconds(_ duration: Duration) -> UInt64 {
        let (seconds, attoseconds) = duration.components
        return UInt64(seconds) * 1_000_000_000 + UInt64(attoseconds / 1_000_000_000)
    }
}
