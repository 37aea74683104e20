/// How much each client may ask for: `Policies/rate-limits.yaml`.
public struct RateLimitPolicy: Sendable, Equatable {
    /// The limits by their names, in the order of the file.
    public var classes: [Class]
    /// The classes asked before anything else is looked at; they count by address or not at all. Several nodes count
    /// them together only for those who have proven who they are.
    public var beforeAuthentication: [String]
    /// The classes asked of every request whose sender is known.
    public var always: [String]
    /// Where this node counts.
    public var table: Table
    /// Where several nodes count together; `nil` where there is one, or each is to count for itself.
    public var redis: Redis?

    /// So many requests at once, and after that so many in each period.
    public struct Class: Sendable, Equatable {
        /// What clients see in the `RateLimit` fields, and routes name by `rate_class`.
        public var name: String
        /// Requests allowed at once.
        public var burst: Int
        /// Requests allowed in each period over time.
        public var requests: Int
        /// The period.
        public var period: Duration
        /// What is counted apart; empty counts everything as one.
        public var partition: [Key]
    }

    /// What requests can be counted by.
    public enum Key: String, Sendable, CaseIterable {
        /// Who was authenticated: the application, whatever user it acts for.
        case principal
        /// Where it comes from: an IPv4 address, or the /64 of an IPv6 address.
        case address
        /// The hotel it is about.
        case hotel
        /// The operation.
        case route
    }

    /// The table that the node's workers share.
    public struct Table: Sendable, Equatable {
        /// Its file, in the installation's `run`: workers may write nowhere else.
        public var file: String
        /// How many clients it has room for: 16 bytes for each one and class that has used up something.
        public var cells = 65_536
    }

    /// One Redis for all nodes.
    public struct Redis: Sendable, Equatable {
        /// How it is reached.
        public enum Endpoint: Sendable, Equatable {
            /// A unix socket.
            case unix(String)
            /// An address in numbers.
            case tcp(SocketAddress)
        }

        /// What holds while it cannot be asked.
        public enum Fallback: String, Sendable, CaseIterable {
            /// Each node counts for itself.
            case local
            /// Nothing is counted.
            case allow
            /// Nothing is let through.
            case deny
        }

        /// Where it is.
        public var endpoint: Endpoint
        /// The user, where it has several.
        public var user: String?
        /// The password, out of the file that is named.
        public var password: String?
        /// Hides, from who reads Redis, whom its keys stand for; the same on all nodes. Out of the file that is named.
        public var secret: [UInt8]
        /// What holds while it cannot be asked.
        public var fallback: Fallback
        /// How long one question may take.
        public var deadline: Duration
        /// What the names of its keys begin with.
        public var prefix: String
    }

    /// Reads and checks `rate-limits.yaml`.
    ///
    /// - Parameters:
    ///   - file: the policy file.
    ///   - installation: the directory that relative paths in the policy start from.
    /// - Throws: every mistake in the file at once.
    public static func load(_ file: String, installation: String) throws(PolicyError) -> RateLimitPolicy {
        try PolicyFile.load(file) { root in
            root.mapping { RateLimitPolicy(reading: $0, installation: InstallationDirectory(path: installation)) }
        }
    }

    /// The classes that a route can name: those that are not asked anyway.
    var namesForRoutes: [String] {
        classes.map(\.name).filter { !beforeAuthentication.contains($0) && !always.contains($0) }
    }

    private init(reading mapping: PolicyMapping, installation: InstallationDirectory) {
        var classes: [Class] = []
        for node in mapping.required("classes", expected: "a list of limits, or an empty one")?.elements() ?? [] {
            guard let read = node.mapping({ Class(reading: $0, at: node) }) else { continue }
            if classes.contains(where: { $0.name == read.name }) {
                node.refuse(expected: "each name once", found: "\(read.name) a second time")
            }
            classes.append(read)
        }
        self.classes = classes
        beforeAuthentication = Self.names("before_authentication", mapping, classes) {
            $0.partition.allSatisfy { $0 == .address }
        }
        always = Self.names("always", mapping, classes, butNot: beforeAuthentication) { _ in true }
        table = mapping.mapping("table", absent: Table(file: installation.path(Table.standardFile))) {
            Table(reading: $0, installation: installation)
        }
        redis = mapping.optional("redis")?.mapping { Redis(reading: $0, installation: installation) }
    }

    private static func names(
        _ key: String, _ mapping: PolicyMapping, _ classes: [Class], butNot others: [String] = [],
        isFit: (Class) -> Bool
    ) -> [String] {
        var names: [String] = []
        for node in mapping.optional(key)?.elements() ?? [] {
            guard let name = node.text("the name of a class") else { continue }
            guard let named = classes.first(where: { $0.name == name }), !names.contains(name) else {
                node.refuse(expected: "classes of this file, each once")
                continue
            }
            if others.contains(name) {
                node.refuse(expected: "a class that is not asked before authentication anyway", found: name)
            }
            if !isFit(named) {
                node.refuse(expected: "a class that counts by address, because nothing else is known yet", found: name)
            }
            names.append(name)
        }
        return names
    }
}

extension RateLimitPolicy.Class {
    /// The longest time in which a used up burst may be given back.
    private static let longestWindow = Duration.seconds(90 * 86_400)
    private static let nameForm = "a name of 1 to 64 letters, digits, -, ., _"

    fileprivate init(reading mapping: PolicyMapping, at node: PolicyNode) {
        let name = mapping.text("name", expected: Self.nameForm)
        if !name.isEmpty,
            !(1...64).contains(name.utf8.count)
                || !name.utf8.span.allSatisfy({ $0.isUnreserved && $0 != UInt8(ascii: "~") })
        {
            node.refuse(expected: Self.nameForm, found: name)
        }
        var keys: [RateLimitPolicy.Key] = []
        for key in mapping.optional("by")?.elements() ?? [] {
            guard let choice = key.choice(RateLimitPolicy.Key.self) else { continue }
            if keys.contains(choice) { key.refuse(expected: "each once") } else { keys.append(choice) }
        }
        self.init(name: name, partition: keys, quotaOf: mapping, at: node)
    }

    /// A limit that is a part of something else: its quota alone is read.
    init(name: String, partition: [RateLimitPolicy.Key], quotaOf mapping: PolicyMapping, at node: PolicyNode) {
        self.name = name
        self.partition = partition
        burst = mapping.integer("burst", in: 1...1_000_000_000)
        requests = mapping.integer("requests", in: 1...1_000_000_000)
        period =
            mapping.required("per", expected: "a period such as 1 s or 1 min")?
            .duration(in: .milliseconds(1)...Self.longestWindow) ?? .seconds(1)
        // In seconds: the product of the exact numbers may not fit.
        if Double(period / .milliseconds(1)) / 1000 / Double(requests) * Double(burst) > 90 * 86_400 {
            node.refuse(expected: "a burst that is given back within 90 days", found: "one that takes longer")
        }
    }
}

extension RateLimitPolicy.Table {
    fileprivate static let standardFile = "run/rate-limits.table"

    fileprivate init(reading mapping: PolicyMapping, installation: InstallationDirectory) {
        let name = mapping.text("file", default: Self.standardFile)
        let form = "a file in run/, such as \(Self.standardFile)"
        if let node = mapping.optional("file"), !name.hasPrefix("run/") || name.contains("/.") || name.hasSuffix("/") {
            node.refuse(expected: form)
        }
        self.init(file: installation.path(name))
        cells = mapping.integer("cells", in: 8...(1 << 26), default: cells)
    }
}

extension RateLimitPolicy.Redis {
    private static let urlForm = "redis://ADDRESS:PORT with the address in numbers, or unix:PATH"

    fileprivate init?(reading mapping: PolicyMapping, installation: InstallationDirectory) {
        let node = mapping.required("url", expected: Self.urlForm)
        user = mapping.optional("user")?.text()
        password = Self.contents("password_file", mapping, installation).map { String(decoding: $0, as: UTF8.self) }
        secret = Self.contents("secret_file", mapping, installation) ?? []
        fallback =
            mapping.required("fallback", expected: "what holds without Redis: local, allow or deny")?
            .choice(Fallback.self) ?? .deny
        deadline = mapping.duration(
            "deadline", in: .milliseconds(1)...Duration.seconds(10), default: .milliseconds(50))
        prefix = mapping.text("prefix", default: "drawbridge:limit:")
        guard let node, let text = node.text(Self.urlForm), let endpoint = Self.endpoint(text, installation) else {
            node?.refuse(expected: Self.urlForm)
            return nil
        }
        self.endpoint = endpoint
    }

    /// What a file holds, without the line's end; `nil` where none is named.
    private static func contents(
        _ key: String, _ mapping: PolicyMapping, _ installation: InstallationDirectory
    ) -> [UInt8]? {
        guard let node = mapping.optional(key), let name = node.text("a file") else { return nil }
        switch PolicyFile.contents(of: installation.path(name), limit: PolicyFile.maximumKeyByteCount) {
        case .failure(let failure): node.refuse(expected: failure.expected, found: failure.found)
        case .success(var bytes):
            if bytes.last == 0x0A { bytes.removeLast() }
            if !bytes.isEmpty { return bytes }
            node.refuse(expected: "a file with something in it", found: "\(name), which is empty")
        }
        return nil
    }

    private static func endpoint(_ text: String, _ installation: InstallationDirectory) -> Endpoint? {
        if text.hasPrefix("redis://") {
            guard let address = SocketAddress(String(text.dropFirst("redis://".count))), address.port > 0 else {
                return nil
            }
            return .tcp(address)
        }
        guard text.hasPrefix("unix:"), text.utf8.count > "unix:".utf8.count else { return nil }
        return .unix(installation.path(String(text.dropFirst("unix:".count))))
    }
}
