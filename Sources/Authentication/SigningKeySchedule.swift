/// How the keys that sign our tokens follow one another: which one signs, which ones are published, what is to be done next.
///
/// A value without a clock and without keys, only their names. A key is `next` first: it is published and signs nothing yet,
/// so that whoever keeps a copy of the published set has it when its first token comes. Then it is `current` and signs. Then
/// it is `previous`: it signs no more, and stays published for as long as a token of its may live. Then it is gone.
/// Instants are Unix seconds by one clock, the database's.
public struct SigningKeySchedule: Sendable, Equatable {
    /// What a key is there for.
    public enum State: String, Sendable, CaseIterable {
        /// Published; becomes `current`.
        case next
        /// Published, and the one that signs; becomes `previous`.
        case current
        /// Published while its tokens live; then it goes.
        case previous
    }

    /// One key.
    public struct Key: Sendable, Equatable {
        /// Its key id.
        public let id: String
        /// What it is there for.
        public var state: State
        /// When it was made.
        public let madeAt: Int64
        /// Since when it is what it is.
        public var since: Int64

        /// Puts a key together.
        public init(id: String, state: State, madeAt: Int64, since: Int64) {
            self.id = id
            self.state = state
            self.madeAt = madeAt
            self.since = since
        }
    }

    /// What the policy asks for, in seconds.
    public struct Terms: Sendable, Equatable {
        /// How long a key signs.
        public var rotation: Int64
        /// How long it is published before that.
        public var lead: Int64
        /// How long it stays published after that: no token of its lives longer.
        public var overlap: Int64

        /// Puts terms together.
        public init(rotation: Int64, lead: Int64, overlap: Int64) {
            self.rotation = rotation
            self.lead = lead
            self.overlap = overlap
        }
    }

    /// One change; each leaves the keys in order.
    public enum Step: Sendable, Equatable {
        /// A key is to be made, for this.
        case make(State)
        /// The `next` key takes the place of the `current` one.
        case rotate
        /// A `previous` key goes.
        case drop(String)
    }

    /// All keys, in the order in which they were made.
    public let keys: [Key]

    /// The keys as they are.
    public init(_ keys: [Key] = []) { self.keys = keys }

    /// The key that signs.
    public var current: Key? { keys.first { $0.state == .current } }
    /// The key that signs after it.
    public var next: Key? { keys.first { $0.state == .next } }

    /// What is to be done first; `nil` where nothing is.
    public func due(at now: Int64, _ terms: Terms) -> Step? {
        guard let current else {
            // A key that nobody could have published yet is as good as a published one that is not there: on the first start,
            // and where an administrator has withdrawn all.
            return next == nil ? .make(.current) : .rotate
        }
        if let gone = keys.first(where: { $0.state == .previous && now - $0.since >= terms.overlap }) {
            return .drop(gone.id)
        }
        guard let next else { return .make(.next) }
        return now - current.since >= terms.rotation && now - next.since >= terms.lead ? .rotate : nil
    }

    /// Seconds until the current key is to be replaced, negative when that is overdue.
    public func secondsLeft(at now: Int64, _ terms: Terms) -> Int64? {
        current.map { $0.since + terms.rotation - now }
    }
}
