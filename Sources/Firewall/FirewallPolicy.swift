/// What a node's firewall is configured with.
public struct FirewallPolicy: Sendable, Equatable {
    /// The directory of `drawbridge.conf`, `rules.conf` and `exclusions.conf`, in which our own part of the rules
    /// stands.
    public var directory: String

    /// The directory of the OWASP core rule set's `REQUEST-….conf`; where Debian's package puts it, if not said
    /// otherwise.
    public var coreRules = "/usr/share/modsecurity-crs/rules"

    /// The paranoia levels that routes are inspected at. Rules beyond them are not loaded, and another level is
    /// refused.
    public var paranoiaLevels = 1...4

    /// Processor time that one inspection may take. A request whose inspection would cost more is refused: only texts
    /// made for it do.
    public var inspectionTime: Duration = .milliseconds(250)

    /// Processor time that the inspection of a request with little content or none may take on the loop; one that needs more, which
    /// no well-meant one does, is begun again on a thread of its own.
    public var timeOnLoop: Duration = .milliseconds(5)

    /// Inspections beside the loop at once. Each holds a thread of libuv's pool, which by default has four, and others
    /// need some too.
    public var maximumConcurrent = 2

    /// Inspections that may wait for one of those threads; one more is answered 503.
    public var maximumWaiting = 64

    /// How long one waits for a thread before it is answered 503.
    public var patience: Duration = .seconds(2)

    /// Verdicts on requests with little content or none that are remembered; zero remembers none.
    public var rememberedVerdicts = 4096

    /// Bytes that remembered verdicts and the requests they were given on may take together.
    public var rememberedBytes = 8 << 20

    public init(directory: String) { self.directory = directory }
}

/// How requests of one route are inspected.
public struct FirewallSettings: Sendable, Hashable {
    /// What becomes of the verdict.
    public enum Mode: String, Sendable, CaseIterable {
        /// Requests that the rules refuse are refused.
        case on = "On"
        /// They are let through, and it is recorded what would have become of them.
        case detectionOnly = "DetectionOnly"
        /// Nothing is inspected.
        case off = "Off"
    }

    /// What becomes of the verdict.
    public var mode: Mode

    /// How suspicious the core rule set is, 1 to 4. From 2 on, ordinary traffic needs more exclusions.
    public var paranoiaLevel: Int

    /// The sum of scores at which a request is refused; one critical rule scores 5.
    public var inboundThreshold: Int

    public init(mode: Mode = .on, paranoiaLevel: Int = 1, inboundThreshold: Int = 5) {
        precondition((1...4).contains(paranoiaLevel) && inboundThreshold > 0)
        self.mode = mode
        self.paranoiaLevel = paranoiaLevel
        self.inboundThreshold = inboundThreshold
    }
}
