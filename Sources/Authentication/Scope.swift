/// What a client may do. Every route names the scopes it asks for; there are no others than these.
public enum Scope: String, Sendable, CaseIterable, Codable {
    case availabilityRead = "availability:read"
    case hotelRead = "hotel:read"
    case bookingRead = "booking:read"
    case bookingWrite = "booking:write"
    case cacheWrite = "cache:write"
    case cacheRead = "cache:read"
    case webhookWrite = "webhook:write"
    case webhookRead = "webhook:read"
    case auditRead = "audit:read"
    case admin
}

/// A set of scopes in one machine word, so that the check on every request is one instruction.
public struct Scopes: SetAlgebra, Sendable, Hashable {
    private var bits: UInt16

    /// No scope at all.
    public init() { bits = 0 }

    /// The scopes in a sequence, each once.
    public init(_ scopes: some Sequence<Scope>) {
        self.init()
        for scope in scopes { insert(scope) }
    }

    private init(bits: UInt16) { self.bits = bits }

    /// Every scope there is.
    public static let all = Scopes(Scope.allCases)

    /// The members in the order of ``Scope``'s declaration.
    public var members: [Scope] { Scope.allCases.filter(contains) }

    /// Whether a scope is in the set.
    public func contains(_ scope: Scope) -> Bool { bits & scope.bit != 0 }

    /// The scopes in either set.
    public func union(_ other: Scopes) -> Scopes { Scopes(bits: bits | other.bits) }
    /// The scopes in both sets.
    public func intersection(_ other: Scopes) -> Scopes { Scopes(bits: bits & other.bits) }
    /// The scopes in exactly one of the sets.
    public func symmetricDifference(_ other: Scopes) -> Scopes { Scopes(bits: bits ^ other.bits) }

    /// Adds a scope.
    @discardableResult
    public mutating func insert(_ scope: Scope) -> (inserted: Bool, memberAfterInsert: Scope) {
        defer { bits |= scope.bit }
        return (!contains(scope), scope)
    }

    /// Takes a scope out.
    @discardableResult
    public mutating func remove(_ scope: Scope) -> Scope? {
        defer { bits &= ~scope.bit }
        return contains(scope) ? scope : nil
    }

    /// Adds a scope; answers with it if it was there already.
    @discardableResult
    public mutating func update(with scope: Scope) -> Scope? { insert(scope).inserted ? nil : scope }

    /// Keeps the scopes in both sets.
    public mutating func formIntersection(_ other: Scopes) { self = intersection(other) }
    /// Adds the scopes of the other set.
    public mutating func formUnion(_ other: Scopes) { self = union(other) }
    /// Keeps the scopes in exactly one of the sets.
    public mutating func formSymmetricDifference(_ other: Scopes) { self = symmetricDifference(other) }
}

extension Scopes: Codable {
    /// Reads a list of scope names; a name that is not a scope is an error.
    public init(from decoder: any Decoder) throws { self.init(try [Scope](from: decoder)) }

    /// Writes a list of scope names.
    public func encode(to encoder: any Encoder) throws { try members.encode(to: encoder) }
}

extension Scope {
    fileprivate var bit: UInt16 {
        let position: UInt16 =
            switch self {
            case .availabilityRead: 0
            case .hotelRead: 1
            case .bookingRead: 2
            case .bookingWrite: 3
            case .cacheWrite: 4
            case .cacheRead: 5
            case .webhookWrite: 6
            case .webhookRead: 7
            case .auditRead: 8
            case .admin: 9
            }
        return 1 << position
    }
}
