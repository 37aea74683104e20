public import Cryptography

/// The API keys that are good now, by their hashes: what the gateway knows of them, and all it needs.
///
/// One instance per process, on its loop; it reads no clock. A key is found by the SHA-256 of what was sent. That the
/// time of such a search depends on the hash gives nothing away: to steer it, an attacker would have to choose texts by
/// their hashes, and what he learned would be bits of a hash, from which nobody gets back to 256 random bits. The
/// comparison that decides is one of two digests, in constant time.
public final class APIKeyRing {
    /// What is known of one key.
    public struct Entry: Sendable, Equatable {
        /// Its number in the database, for the log and for reporting when it was used.
        public var id: Int32
        /// The SHA-256 of its text.
        public var hash: Digest256
        /// The client it was made for. Keys of one client are interchangeable, so one can take another's place.
        public var client: String
        /// What its holder may do.
        public var scopes: Scopes
        /// For which hotels.
        public var hotelIDs: HotelAccess
        /// Unix seconds from which on it is not good any more.
        public var expiresAt: Int64

        /// Puts an entry together.
        public init(
            id: Int32, hash: Digest256, client: String, scopes: Scopes, hotelIDs: HotelAccess, expiresAt: Int64
        ) {
            self.id = id
            self.hash = hash
            self.client = client
            self.scopes = scopes
            self.hotelIDs = hotelIDs
            self.expiresAt = expiresAt
        }
    }

    /// The most keys held; the bridge gives no more.
    public static let maximumCount = 10_000

    private struct Held {
        let identity: Identity
        let expiresAt: Int64
        let id: Int32
    }

    private var keys: [Digest256: Held] = [:]
    private var uses: [Int32: Int64] = [:]
    private var confirmation: Confirmation
    /// Which state of the database's keys is held; `nil` before the first.
    public private(set) var version: Int64?

    /// An empty ring.
    ///
    /// - Parameter maximumStaleness: how long keys are believed after the database last confirmed them. A key that was
    ///   revoked in the meantime lives on for so long at most.
    public init(maximumStaleness: Duration) { confirmation = Confirmation(maximumStaleness: maximumStaleness) }

    /// The number of keys held.
    public var count: Int { keys.count }

    /// Takes over a new state of all keys, in the place of the old one.
    ///
    /// - Parameter confirmedAt: when the database had them, on the monotonic clock, in nanoseconds.
    public func replace(with entries: [Entry], version: Int64, confirmedAt: UInt64) {
        var keys: [Digest256: Held] = [:]
        for entry in entries.prefix(Self.maximumCount) {
            let identity = Identity(
                issuer: Identity.ownClients, subject: Identity.apiKeySubject(entry.id), client: entry.client,
                scopes: entry.scopes,
                hotelIDs: entry.hotelIDs, method: .apiKey)
            keys[entry.hash] = Held(identity: identity, expiresAt: entry.expiresAt, id: entry.id)
        }
        self.keys = keys
        self.version = version
        confirm(at: confirmedAt)
    }

    /// Notes that what is held was still so in the database at an instant of the monotonic clock, in nanoseconds.
    public func confirm(at instant: UInt64) { confirmation.confirm(at: instant) }

    /// Whether what is held may still be believed at an instant of the monotonic clock.
    public func isFresh(at instant: UInt64) -> Bool { confirmation.isFresh(at: instant) }

    /// The identity that a key proves at `now` (Unix seconds).
    ///
    /// - Parameter instant: the same moment on the monotonic clock, in nanoseconds.
    /// - Throws: with the code `unavailable` when the keys are not known, which says nothing about this one.
    public func verify(_ key: Span<UInt8>, now: Int64, instant: UInt64) throws(AuthenticationError) -> Identity {
        guard APIKey.hasForm(key) else { throw AuthenticationError(.malformed, "not an API key") }
        guard isFresh(at: instant) else { throw AuthenticationError(.unavailable, "the API keys are not known now") }
        guard let held = keys[SHA256.hash(key)] else { throw AuthenticationError(.unknownKey, "no such API key") }
        guard now < held.expiresAt else { throw AuthenticationError(.expired, "the API key has expired") }
        uses[held.id] = now
        return held.identity
    }

    /// The keys used since the last call, each with when it was used last (Unix seconds). At most one for every key.
    public func takeUses() -> [Int32: Int64] {
        defer { uses.removeAll(keepingCapacity: true) }
        return uses
    }

    /// Puts uses back that could not be reported.
    public func putBack(_ unreported: [Int32: Int64]) { uses.merge(unreported) { max($0, $1) } }
}
