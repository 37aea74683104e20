public import Cryptography

/// What became of the refresh tokens that follow one another from one that an API key was exchanged for.
///
/// A value without a clock. One token of a family is good at any time, the last one given. It is good once: what takes its
/// place is given for it. One that was given before and comes again was copied, or its answer was lost; nobody can tell, so
/// the family ends, for the thief and for the owner, who has an API key to begin another with. Instants are Unix seconds.
public struct RefreshFamily: Sendable, Equatable {
    /// Why a family ended before its time.
    public enum End: String, Sendable, CaseIterable {
        /// A token came that was spent before.
        case reuse
        /// Its API key was revoked, or removed.
        case key
        /// Its client has begun more families than it may have.
        case limit
    }

    /// What becomes of a token that comes.
    public enum Verdict: Sendable, Equatable {
        /// It is spent now, and its successor good.
        case renewed
        /// It was spent before: the family has ended by that.
        case reused
        /// It is of no use, and nothing has changed.
        case refused(Refusal)
    }

    /// Why a token is of no use.
    public enum Refusal: String, Sendable, CaseIterable {
        /// The family has ended.
        case ended
        /// The family is too old, or nobody has used it for too long.
        case expired
        /// Its API key is not good any more.
        case key
    }

    /// The hash of the one secret that is good.
    public private(set) var secret: Digest256
    /// When the family ends, however it is used.
    public let expiresAt: Int64
    /// When it ends unless it is used.
    public private(set) var idleExpiresAt: Int64
    /// Why it has ended.
    public private(set) var end: End?

    /// A family as it is stored.
    public init(secret: Digest256, expiresAt: Int64, idleExpiresAt: Int64, end: End? = nil) {
        self.secret = secret
        self.expiresAt = expiresAt
        self.idleExpiresAt = idleExpiresAt
        self.end = end
    }

    /// Decides on a token of this family.
    ///
    /// - Parameters:
    ///   - presented: the hash of its secret.
    ///   - successor: the hash of the secret that takes its place if it is good.
    ///   - idle: for how many seconds the successor is good unless used.
    ///   - keyEnd: when the API key ends; `nil` where it is not good any more.
    public mutating func present(
        _ presented: Digest256, successor: Digest256, idle: Int64, keyEnd: Int64?, now: Int64
    ) -> Verdict {
        guard end == nil || end == .limit else { return .refused(.ended) }
        guard presented == secret else {
            // Also where the family has expired, or made room for another: access tokens that came of it may live.
            end = .reuse
            return .reused
        }
        guard end == nil else { return .refused(.ended) }
        guard now < min(expiresAt, idleExpiresAt) else { return .refused(.expired) }
        guard let keyEnd, now < keyEnd else { return .refused(.key) }
        secret = successor
        idleExpiresAt = min(now + idle, expiresAt)
        return .renewed
    }
}
