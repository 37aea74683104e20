internal import Authentication
internal import HTTP
internal import Loop
internal import Policy
internal import RateLimit
internal import Server

/// A worker's rate limits, as the policy has them.
@OnLoop
final class Limits {
    private static let fields: FieldNameSet = [.rateLimit, .rateLimitPolicy]

    /// Keeps the connection to Redis, where there is one, until the task is cancelled.
    let redis: RedisStore?

    /// Whether Redis counts what was charged before the sender was known, for all nodes together.
    private let isShared: Bool

    private let table: SharedTable
    private let limiter: Limiter
    private let beforeAuthentication: [LimitClass]
    private let always: [LimitClass]
    private let byRoute: [ObjectIdentifier: [LimitClass]]
    /// Those that sources of webhooks have of their own, by their subjects.
    private let bySource: [String: LimitClass]

    /// - Throws: `RateLimitError` when the node's table cannot be used.
    init(_ policy: RateLimitPolicy, _ routes: RouteTable, sources: [String: RateLimitPolicy.Class] = [:]) throws {
        let classes = Dictionary(uniqueKeysWithValues: try policy.classes.map { ($0.name, try $0.limitClass) })
        let always = policy.always.compactMap { classes[$0] }
        beforeAuthentication = policy.beforeAuthentication.compactMap { classes[$0] }
        self.always = always
        byRoute = Dictionary(
            uniqueKeysWithValues: routes.routes.map { route in
                (ObjectIdentifier(route), always + route.terms.rateClasses.compactMap { classes[$0] })
            })
        bySource = Dictionary(
            uniqueKeysWithValues: try sources.map { (InboundSender.subject($0.key), try $0.value.limitClass) })
        table = try SharedTable(path: policy.table.file, capacity: policy.table.cells)
        redis = policy.redis.map { RedisStore(RedisConfiguration($0)) }
        isShared = policy.redis != nil && !beforeAuthentication.isEmpty
        limiter = Limiter(
            table: table, redis: redis,
            fallback: policy.redis.flatMap { .init(rawValue: $0.fallback.rawValue) } ?? .local)
    }

    /// What a client of this address is charged before it is known. The same for each of its requests.
    func charges(for address: AddressBlock?) -> [Charge] {
        let subject = Subject(address: address)
        return beforeAuthentication.compactMap { $0.charge(for: subject) }
    }

    /// Decides on a request of which only the address is known. This node's table alone is asked: Redis is asked once
    /// for each request, when all is known, and then about this, too.
    ///
    /// - Throws: `Refusal` when a limit is exceeded; only then does the answer say so, because whoever has not proven
    ///   who he is learns as little as possible.
    func check(_ charges: [Charge], _ trail: Trail) throws(Refusal) -> Verdict {
        let verdict = table.check(charges)
        if !verdict.isAllowed { throw refusal(verdict, trail) }
        return verdict
    }

    /// The limits that a request of this sender is asked about.
    func classes(for identity: Identity, at route: Route) -> [LimitClass] {
        let classes = byRoute[ObjectIdentifier(route)] ?? always
        guard identity.method == .inbound, let own = bySource[identity.subject] else { return classes }
        return classes + [own]
    }

    /// Decides on a request whose sender is known, and says in the answer what is left.
    ///
    /// - Parameter earlier: what was decided before.
    /// - Throws: `Refusal` when a limit is exceeded, or cannot be asked.
    @inline(__always)
    func check(
        _ subject: Subject, _ classes: [LimitClass], _ request: Request, after earlier: Verdict, _ trail: Trail
    ) async throws(Refusal) {
        guard !classes.isEmpty || isShared else { return tell(earlier, request, trail) }
        let counted = isShared ? charges(for: subject.address) : []
        switch await limiter.check(classes.compactMap { $0.charge(for: subject) }, counted: counted) {
        case .decided(let verdict) where verdict.isAllowed: tell(together(earlier, verdict), request, trail)
        case .decided(let verdict): throw refusal(together(earlier, verdict), trail)
        case .unlimited: tell(earlier, request, trail)
        case .unavailable: throw Refusal.limitsUnavailable
        }
    }

    /// What the table said first, and what was said after it.
    private func together(_ earlier: Verdict, _ verdict: Verdict) -> Verdict {
        isShared ? earlier.merged(with: verdict) : earlier.joined(with: verdict)
    }

    /// The answer will say what is left.
    private func refusal(_ verdict: Verdict, _ trail: Trail) -> Refusal {
        trail.limits = verdict.states
        return .quotaExceeded(verdict)
    }

    private func tell(_ verdict: Verdict, _ request: Request, _ trail: Trail) {
        guard !verdict.states.isEmpty else { return }
        trail.limits = verdict.states
        var lines: [UInt8] = []
        lines.reserveCapacity(128)
        verdict.appendFieldLines(to: &lines)
        request.addAnswerLines(lines, of: Self.fields)
    }
}

/// Who may connect, and what each address is charged; remembered, because a client comes again and again.
@OnLoop
final class Admission {
    /// Addresses that are remembered; when there are more, all are forgotten.
    private static let maximumRemembered = 8_192

    private struct Client: Hashable {
        let listener: String
        let address: String
    }

    private struct Entry {
        let isAdmitted: Bool
        let block: AddressBlock?
        let charges: [Charge]
    }

    private let addresses: AddressPolicy
    private let limits: Limits
    private var remembered: [Client: Entry] = [:]

    init(_ addresses: AddressPolicy, _ limits: Limits) {
        self.addresses = addresses
        self.limits = limits
    }

    /// Decides on a request, whether it can be read or not, by what it came on.
    ///
    /// - Returns: the client's address as limits count it, and what they say so far.
    func check(_ connection: ConnectionInfo, _ trail: Trail) throws(Refusal) -> (AddressBlock?, Verdict) {
        let client = Client(listener: connection.listener, address: connection.peerAddress)
        let entry = remembered[client] ?? remember(client)
        guard entry.isAdmitted else { throw .addressDenied }
        return (entry.block, try limits.check(entry.charges, trail))
    }

    private func remember(_ client: Client) -> Entry {
        let block = AddressBlock(client.address)
        let entry = Entry(
            isAdmitted: addresses.admits(client.address, listener: client.listener), block: block,
            charges: limits.charges(for: block))
        if remembered.count >= Self.maximumRemembered { remembered.removeAll(keepingCapacity: true) }
        remembered[client] = entry
        return entry
    }
}

/// What the clients of one address may hold on to at this node, as the policy has it, whichever worker and listener
/// they reach.
@OnLoop
final class NodeAddressBounds: AddressBounds {
    private let counts: AddressCounts
    private let connections: Int
    private let headBytes: Int

    /// - Throws: `RateLimitError` when the node's counts cannot be used.
    init(_ policy: GatewayPolicy.ServerLimits, file: String) throws {
        counts = try AddressCounts(path: file)
        connections = policy.maximumConnectionsPerAddress
        headBytes = policy.maximumHeaderBytesPerAddress.bytes
    }

    func holdConnection(_ address: AddressBlock) -> Bool {
        counts.hold(1, of: .connections, by: address, upTo: connections)
    }

    func releaseConnection(_ address: AddressBlock) { counts.release(1, of: .connections, by: address) }

    func holdHead(_ byteCount: Int, _ address: AddressBlock) -> Bool {
        counts.hold(byteCount, of: .headBytes, by: address, upTo: headBytes)
    }

    func releaseHead(_ byteCount: Int, _ address: AddressBlock) {
        counts.release(byteCount, of: .headBytes, by: address)
    }
}

extension RateLimitPolicy.Class {
    /// The class as it is counted.
    fileprivate var limitClass: LimitClass {
        get throws(UnusableLimit) {
            let partition = partition.reduce(into: Partition()) { partition, key in
                switch key {
                case .principal: partition.insert(.principal)
                case .address: partition.insert(.address)
                case .hotel: partition.insert(.hotel)
                case .route: partition.insert(.route)
                }
            }
            guard let quota = Quota(burst: burst, requests: requests, per: period),
                let limitClass = LimitClass(name: name, quota: quota, partition: partition)
            else { throw UnusableLimit(name: name) }
            return limitClass
        }
    }
}

/// A class that reading the policy should have refused.
struct UnusableLimit: Error, CustomStringConvertible {
    let name: String

    var description: String { "rate-limits.yaml: the class \(name) cannot be counted" }
}

extension RedisConfiguration {
    fileprivate init(_ policy: RateLimitPolicy.Redis) {
        switch policy.endpoint {
        case .unix(let path): self.init(.unix(path), secret: policy.secret)
        case .tcp(let address): self.init(.tcp(address.host, port: UInt16(address.port)), secret: policy.secret)
        }
        user = policy.user
        password = policy.password
        prefix = policy.prefix
        callDeadline = policy.deadline
    }
}
