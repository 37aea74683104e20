internal import HTTP

/// How the gateway listens, what it lets a connection use up, and where it forwards: `Policies/gateway.yaml`.
public struct GatewayPolicy: Sendable, Equatable {
    /// Where clients connect; at least one.
    public var listeners: [Listener]
    /// Sizes and counts no client may exceed.
    public var limits: ServerLimits
    /// Times no client may exceed.
    public var timeouts: ServerTimeouts
    /// The bridge.
    public var upstream: Upstream
    /// The record of every request.
    public var ledger: LedgerPolicy
    /// Which web pages may use the API from a browser.
    public var crossOrigin: CrossOrigin
    /// Which requests leave a line in the log.
    public var accessLog: AccessLog
    /// How long open requests may take to finish once the gateway has been told to stop.
    public var drainTimeout: Duration

    /// Which requests leave a line in the log; the ledger has all of them in any case.
    public enum AccessLog: String, Sendable, CaseIterable {
        /// Every one.
        case all
        /// Those refused or failed.
        case failures
        /// None.
        case off
    }

    /// An address the supervisor opens and hands down.
    public struct Listener: Sendable, Equatable {
        /// The name of the one listener that answers health, readiness and metrics; all others answer the API.
        public static let adminName = "admin"
        /// What the supervisor calls the socket of each process's own, beside the policy's.
        static let reservedName = "process-admin"

        /// The name under which the supervisor hands the socket down, and metrics count it.
        public var name: String
        /// Where to listen.
        public var address: SocketAddress
        /// The certificate; `nil` is plain HTTP, allowed on loopback addresses only.
        public var tls: TLS?
    }

    /// The certificate a listener shows.
    public struct TLS: Sendable, Equatable {
        /// The lowest protocol version spoken.
        public enum Version: String, Sendable, CaseIterable {
            case tls12 = "1.2"
            case tls13 = "1.3"
        }

        /// The PEM file with the certificate and its chain, as an absolute path or relative to the working directory.
        public var certificateFile: String
        /// The PEM file with the private key.
        public var keyFile: String
        /// The lowest protocol version spoken.
        public var minimumVersion: Version
        /// How long clients are told to use nothing but TLS (RFC 6797); zero tells them nothing.
        public var strictTransportSecurity: Duration
    }

    /// Which web pages may use the API from a browser (the CORS protocol of the Fetch standard).
    public struct CrossOrigin: Sendable, Equatable {
        /// Their origins, such as `https://booking.example`; none at first.
        public var origins: [String] = []
        /// How long a browser may remember what it was told.
        public var maximumAge: Duration = .seconds(600)
    }

    /// Sizes and counts no client may exceed.
    public struct ServerLimits: Sendable, Equatable {
        /// The most that a policy may allow of request lines, header fields in all, and their number.
        public static let bounds = (
            requestLine: ByteCount.kibibytes(64), fieldSection: ByteCount.kibibytes(256), fieldCount: 1000
        )

        /// The longest request line; longer is answered with 414.
        public var maximumRequestLine = ByteCount.kibibytes(8)
        /// The most bytes in all header fields; more is answered with 431.
        public var maximumFieldSection = ByteCount.kibibytes(32)
        /// The most header fields; more is answered with 431.
        public var maximumFieldCount = 100
        /// The largest body where a route names no lower limit; larger is answered with 413.
        public var maximumBody = ByteCount.mebibytes(1)
        /// The most connections one worker keeps open on each listener.
        public var maximumConnections = 10_000
        /// The most connections that all workers and listeners together keep open for one address, or one /64 of IPv6;
        /// further ones are closed at once.
        public var maximumConnectionsPerAddress = 2_000
        /// The most bytes of incomplete headers that they hold for one address; more is answered with 431.
        public var maximumHeaderBytesPerAddress = ByteCount.mebibytes(1)
        /// The most requests on one connection before it is closed, so that load spreads over workers again.
        public var maximumRequestsPerConnection = 10_000

        /// The defaults.
        public init() {}
    }

    /// Times no client may exceed.
    public struct ServerTimeouts: Sendable, Equatable {
        /// From a request's first byte, or the connection's opening, to the end of its header.
        public var header = Duration.seconds(10)
        /// From the end of the header to the end of the body.
        public var body = Duration.seconds(30)
        /// Between two requests on one connection.
        public var idle = Duration.seconds(75)
        /// The least bytes a second a body must come at once ``minimumBodyRateGrace`` is over.
        public var minimumBodyRate = ByteCount.bytes(512)
        /// How long a body may be slower than the minimum rate.
        public var minimumBodyRateGrace = Duration.seconds(5)

        /// The defaults.
        public init() {}
    }

    /// The bridge as the gateway sees it.
    public struct Upstream: Sendable, Equatable {
        /// The bridge's unix socket, as an absolute path or relative to the working directory.
        public var socketPath: String
        /// The most connections one worker opens to it.
        public var maximumConnections = 256
        /// The most requests that wait for one of them; further ones get 503 at once.
        public var maximumWaitingRequests = 1_000
        /// How long opening a connection may take.
        public var connectTimeout = Duration.seconds(1)
        /// How long the bridge may take for an answer where the route does not say.
        public var responseTimeout = Duration.seconds(10)
        /// How often an unreachable bridge is tried again.
        public var healthCheckInterval = Duration.seconds(1)
    }

    /// Reads and checks `gateway.yaml`.
    ///
    /// - Parameters:
    ///   - file: the policy file.
    ///   - installation: the directory that relative paths in the policy start from.
    /// - Throws: every mistake in the file at once.
    public static func load(_ file: String, installation: String) throws(PolicyError) -> GatewayPolicy {
        try PolicyFile.load(file) { root in
            root.mapping { GatewayPolicy(reading: $0, installation: InstallationDirectory(path: installation)) }
        }
    }

    private init(reading mapping: PolicyMapping, installation: InstallationDirectory) {
        listeners = Self.listeners(mapping, installation)
        limits = mapping.mapping("limits", absent: ServerLimits()) { ServerLimits(reading: $0) }
        timeouts = mapping.mapping("timeouts", absent: ServerTimeouts()) { ServerTimeouts(reading: $0) }
        upstream =
            mapping.required("upstream", expected: "where the bridge is")?
            .mapping { Upstream(reading: $0, installation: installation) } ?? Upstream(socketPath: "")
        crossOrigin = mapping.mapping("cross_origin", absent: CrossOrigin()) { CrossOrigin(reading: $0) }
        accessLog = mapping.choice("access_log", default: .all)
        ledger = mapping.mapping("ledger", absent: LedgerPolicy()) {
            LedgerPolicy(reading: $0, installation: installation)
        }
        drainTimeout = mapping.duration("drain_timeout", in: .seconds(1)...Duration.seconds(600), default: .seconds(30))
    }

    private static func listeners(_ mapping: PolicyMapping, _ installation: InstallationDirectory) -> [Listener] {
        guard let list = mapping.required("listeners", expected: "a listener for clients, and one called admin") else {
            return []
        }
        let nodes = list.elements(atLeast: 1)
        var listeners: [Listener] = []
        for node in nodes {
            guard let listener = node.mapping({ Listener(reading: $0, installation: installation) }) else { continue }
            if listeners.contains(where: { $0.name == listener.name }) {
                node.refuse(expected: "a name no other listener has", found: "a second listener \(listener.name)")
            }
            if let other = listeners.first(where: { $0.address.overlaps(listener.address) }) {
                node.refuse(
                    expected: "an address and port no other listener has",
                    found: "\(listener.address) beside \(other.address) of \(other.name)")
            }
            listeners.append(listener)
        }
        // One that could not be read may be the one that seems to be missing.
        guard listeners.count == nodes.count else { return listeners }
        if !listeners.contains(where: \.isAdmin) {
            list.refuse(expected: "one called admin, for health, readiness and metrics", found: "none")
        }
        if !listeners.contains(where: { !$0.isAdmin }) {
            list.refuse(expected: "one for clients, not called admin", found: "none")
        }
        return listeners
    }
}

extension GatewayPolicy.Listener {
    /// Whether it answers health, readiness and metrics rather than the API.
    public var isAdmin: Bool { name == Self.adminName }

    /// The name goes into `LISTEN_FDNAMES`, where a colon separates names, and into the labels of metrics.
    private static func isName(_ text: String) -> Bool {
        (1...64).contains(text.utf8.count) && text.utf8.span.allSatisfy { $0.isUnreserved } && text != reservedName
    }
}

extension GatewayPolicy.Listener {
    fileprivate init?(reading mapping: PolicyMapping, installation: InstallationDirectory) {
        let nameForm = "a name of 1 to 64 letters, digits, -, ., _, ~, other than \(Self.reservedName)"
        let addressForm = "an address and port such as 127.0.0.1:8443 or [::1]:8443"
        let nameNode = mapping.required("name", expected: nameForm)
        let node = mapping.required("address", expected: addressForm)
        let tls = mapping.optional("tls")?.mapping { GatewayPolicy.TLS(reading: $0, installation: installation) }
        guard let name = nameNode?.text(nameForm), let node, let text = node.text(addressForm) else { return nil }
        if !Self.isName(name) { nameNode?.refuse(expected: nameForm) }
        guard let address = SocketAddress(text) else {
            node.refuse(expected: addressForm)
            return nil
        }
        if mapping.optional("tls") == nil, !address.isLoopback {
            node.refuse(expected: "a loopback address, because the listener has no tls")
        } else if name == Self.adminName, !address.isLoopback {
            node.refuse(expected: "a loopback address, because whoever reaches it sees the inside")
        }
        self.init(name: name, address: address, tls: tls)
    }
}

extension GatewayPolicy.TLS {
    fileprivate init(reading mapping: PolicyMapping, installation: InstallationDirectory) {
        certificateFile = installation.existingFile(mapping, "certificate", expected: "the certificate's PEM file")
        keyFile = installation.existingFile(mapping, "key", expected: "the private key's PEM file")
        minimumVersion = mapping.choice("minimum_version", default: .tls13)
        strictTransportSecurity = mapping.duration(
            "strict_transport_security", in: .zero...Duration.seconds(2 * 365 * 86_400),
            default: .seconds(365 * 86_400))
    }
}

extension GatewayPolicy.CrossOrigin {
    fileprivate init(reading mapping: PolicyMapping) {
        self.init()
        maximumAge = mapping.duration("maximum_age", in: .zero...Duration.seconds(86_400), default: maximumAge)
        for node in mapping.optional("origins")?.elements() ?? [] {
            let form = "an origin such as https://booking.example, without a path"
            guard let origin = node.text(form) else { continue }
            guard Self.isOrigin(origin) else {
                node.refuse(expected: form, found: origin)
                continue
            }
            origins.append(origin)
        }
    }

    /// Scheme, host in lower case, and perhaps a port, as browsers write it (RFC 6454 §6.2).
    private static func isOrigin(_ text: String) -> Bool {
        let scheme = ["https://", "http://"].first { text.hasPrefix($0) }
        guard let scheme, RequestTarget("/", authority: String(text.dropFirst(scheme.count))) != nil else {
            return false
        }
        return !text.utf8.contains { (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains($0) }
    }
}

extension GatewayPolicy.ServerLimits {
    fileprivate init(reading mapping: PolicyMapping) {
        let standard = GatewayPolicy.ServerLimits()
        maximumRequestLine = mapping.byteCount(
            "maximum_request_line", in: .bytes(512)...Self.bounds.requestLine, default: standard.maximumRequestLine)
        maximumFieldSection = mapping.byteCount(
            "maximum_field_section", in: .kibibytes(1)...Self.bounds.fieldSection,
            default: standard.maximumFieldSection)
        maximumFieldCount = mapping.integer(
            "maximum_field_count", in: 8...Self.bounds.fieldCount, default: standard.maximumFieldCount)
        maximumBody = mapping.byteCount(
            "maximum_body", in: .bytes(0)...ByteCount.mebibytes(64), default: standard.maximumBody)
        maximumConnections = mapping.integer(
            "maximum_connections", in: 1...1_000_000, default: standard.maximumConnections)
        maximumConnectionsPerAddress = mapping.integer(
            "maximum_connections_per_address", in: 1...1_000_000, default: standard.maximumConnectionsPerAddress)
        maximumHeaderBytesPerAddress = mapping.byteCount(
            "maximum_header_bytes_per_address",
            // One header that may come must be able to come in parts.
            in: .bytes(maximumRequestLine.bytes + maximumFieldSection.bytes)...ByteCount.mebibytes(64),
            default: standard.maximumHeaderBytesPerAddress)
        maximumRequestsPerConnection = mapping.integer(
            "maximum_requests_per_connection", in: 1...1_000_000_000, default: standard.maximumRequestsPerConnection)
    }
}

extension GatewayPolicy.ServerTimeouts {
    fileprivate init(reading mapping: PolicyMapping) {
        let standard = GatewayPolicy.ServerTimeouts()
        let bounds = Duration.milliseconds(100)...Duration.seconds(3600)
        header = mapping.duration("header", in: bounds, default: standard.header)
        body = mapping.duration("body", in: bounds, default: standard.body)
        idle = mapping.duration("idle", in: bounds, default: standard.idle)
        minimumBodyRate = mapping.byteCount(
            "minimum_body_rate_per_second", in: .bytes(1)...ByteCount.mebibytes(1), default: standard.minimumBodyRate)
        minimumBodyRateGrace = mapping.duration(
            "minimum_body_rate_grace", in: bounds, default: standard.minimumBodyRateGrace)
    }
}

extension GatewayPolicy.Upstream {
    fileprivate init(reading mapping: PolicyMapping, installation: InstallationDirectory) {
        self.init(socketPath: installation.path(mapping.text("socket", expected: "the bridge's unix socket")))
        maximumConnections = mapping.integer("maximum_connections", in: 1...10_000, default: maximumConnections)
        maximumWaitingRequests = mapping.integer(
            "maximum_waiting_requests", in: 0...1_000_000, default: maximumWaitingRequests)
        let bounds = Duration.milliseconds(10)...Duration.seconds(600)
        connectTimeout = mapping.duration("connect_timeout", in: bounds, default: connectTimeout)
        responseTimeout = mapping.duration("response_timeout", in: bounds, default: responseTimeout)
        healthCheckInterval = mapping.duration("health_check_interval", in: bounds, default: healthCheckInterval)
    }
}
