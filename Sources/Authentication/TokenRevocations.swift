/// The tokens that count no more although their issuer's signature and their times say that they do, by their `jti`
/// (RFC 7519 §4.1.7): what the gateway knows of them. One instance per process, on its loop; it reads no clock.
public final class TokenRevocations {
    /// The tokens of one issuer, or of whichever issuer used the id.
    public struct Entry: Sendable, Equatable {
        /// Whose tokens; `nil` for every issuer's.
        public var issuer: String?
        /// Their ids, byte by byte as in the tokens.
        public var tokenIDs: [String]

        /// Puts an entry together.
        public init(issuer: String?, tokenIDs: [String]) {
            self.issuer = issuer
            self.tokenIDs = tokenIDs
        }
    }

    /// How the database writes that a token counts no more whichever issuer made it.
    public static let everyIssuer = "*"
    /// Whether a text can be a token's `jti`. A token with another one is refused, so each that has one can be revoked.
    public static func isTokenID(_ text: String) -> Bool { Claims.isName(text) }

    private var ofEveryIssuer: Set<String> = []
    private var byIssuer: [String: Set<String>] = [:]
    private var confirmation: Confirmation
    /// Which state of the database is held; `nil` before the first.
    public private(set) var version: Int64?

    /// Nothing is known yet.
    ///
    /// - Parameter maximumStaleness: how long what is held is believed after the database last confirmed it.
    public init(maximumStaleness: Duration) { confirmation = Confirmation(maximumStaleness: maximumStaleness) }

    /// The number of token ids held.
    public var count: Int { byIssuer.values.reduce(ofEveryIssuer.count) { $0 + $1.count } }

    /// Whether what is held may still be believed at an instant of the monotonic clock, in nanoseconds.
    public func isFresh(at instant: UInt64) -> Bool { confirmation.isFresh(at: instant) }

    /// Notes that what is held was still so in the database at an instant of the monotonic clock, in nanoseconds.
    public func confirm(at instant: UInt64) { confirmation.confirm(at: instant) }

    /// Whether a token counts no more by one of its ids. One without an id cannot be named, so not be revoked by itself.
    func includes(_ ids: [String], of issuer: String) -> Bool {
        guard !(ofEveryIssuer.isEmpty && byIssuer.isEmpty) else { return false }
        return ids.contains { ofEveryIssuer.contains($0) || byIssuer[issuer]?.contains($0) ?? false }
    }

    /// Takes over a new state, in the place of the old one; by ``TokenVerifier``, which remembers tokens.
    func replace(with entries: [Entry], version: Int64, confirmedAt: UInt64) {
        ofEveryIssuer = []
        byIssuer = [:]
        for entry in entries {
            if let issuer = entry.issuer {
                byIssuer[issuer, default: []].formUnion(entry.tokenIDs)
            } else {
                ofEveryIssuer.formUnion(entry.tokenIDs)
            }
        }
        self.version = version
        confirm(at: confirmedAt)
    }
}
