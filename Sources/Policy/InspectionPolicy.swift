/// How the firewall inspects requests: `Policies/firewall.yaml`. The rules themselves stand in `Policies/firewall/`.
public struct InspectionPolicy: Sendable, Equatable {
    /// What becomes of a request in which the rules find something.
    public enum Mode: String, Sendable, CaseIterable {
        /// It is refused.
        case on = "On"
        /// It is let through, and recorded.
        case detectionOnly = "DetectionOnly"
        /// Nothing is inspected.
        case off = "Off"
    }

    /// What may differ from route to route.
    public struct Settings: Sendable, Equatable {
        /// What becomes of what is found.
        public var mode = Mode.on
        /// How suspicious the core rule set is, 1 to 4.
        public var paranoiaLevel = 1
        /// The sum of scores at which a request is refused; one critical rule scores 5.
        public var inboundThreshold = 5

        /// The values above.
        public init() {}
    }

    /// What a route says for itself; `nil` leaves it to the policy.
    public struct Exception: Sendable, Equatable {
        /// What becomes of what is found.
        public var mode: Mode?
        /// How suspicious the core rule set is.
        public var paranoiaLevel: Int?
        /// The sum of scores at which a request is refused.
        public var inboundThreshold: Int?
    }

    /// How routes are inspected that do not say otherwise.
    public var settings = Settings()
    /// The directory of the OWASP core rule set's `REQUEST-….conf`; absolute.
    public var coreRules: String
    /// Processor time that one inspection may take in the search for patterns.
    public var inspectionTime: Duration
    /// Inspections at once in each worker.
    public var maximumConcurrent: Int
    /// Inspections that may wait in each worker.
    public var maximumWaiting: Int
    /// Verdicts that each worker remembers.
    public var rememberedVerdicts: Int
    /// What they may take together.
    public var rememberedSize: ByteCount

    /// Reads and checks `firewall.yaml`.
    ///
    /// - Throws: every mistake in the file at once.
    public static func load(_ file: String) throws(PolicyError) -> InspectionPolicy {
        try PolicyFile.load(file) { root in root.mapping { InspectionPolicy(reading: $0) } }
    }

    private init(reading mapping: PolicyMapping) {
        settings.mode = mapping.choice("mode", default: settings.mode)
        settings.paranoiaLevel = mapping.integer(
            "paranoia_level", in: Self.paranoiaLevels, default: settings.paranoiaLevel)
        settings.inboundThreshold = mapping.integer(
            "inbound_threshold", in: Self.thresholds, default: settings.inboundThreshold)
        coreRules = mapping.text("core_rules", default: "/usr/share/modsecurity-crs/rules")
        inspectionTime = mapping.duration(
            "inspection_time", in: .milliseconds(5)...Duration.seconds(5), default: .milliseconds(250))
        maximumConcurrent = mapping.integer("maximum_concurrent", in: 1...64, default: 2)
        maximumWaiting = mapping.integer("maximum_waiting", in: 0...100_000, default: 256)
        rememberedVerdicts = mapping.integer("remembered_verdicts", in: 0...1_000_000, default: 4096)
        rememberedSize = mapping.byteCount(
            "remembered_size", in: .bytes(0)...ByteCount.mebibytes(1024), default: .mebibytes(8))
        if !coreRules.hasPrefix("/") {
            mapping.optional("core_rules")?.refuse(expected: "an absolute path")
        }
    }

    /// How a route is inspected.
    public func settings(for route: Route) -> Settings {
        var settings = settings
        if let exception = route.terms.inspection {
            settings.mode = exception.mode ?? settings.mode
            settings.paranoiaLevel = exception.paranoiaLevel ?? settings.paranoiaLevel
            settings.inboundThreshold = exception.inboundThreshold ?? settings.inboundThreshold
        }
        return settings
    }

    private static let paranoiaLevels = 1...4
    private static let thresholds = 1...1000

    /// Reads a route's `firewall`: a mode, or a mapping with what differs.
    static func exception(_ node: PolicyNode) -> Exception? {
        if case .scalar = node.node.value { return node.choice(Mode.self).map { Exception(mode: $0) } }
        return node.mapping { mapping in
            Exception(
                mode: mapping.optional("mode")?.choice(Mode.self),
                paranoiaLevel: mapping.optional("paranoia_level")?.integer(in: paranoiaLevels),
                inboundThreshold: mapping.optional("inbound_threshold")?.integer(in: thresholds))
        }
    }
}
