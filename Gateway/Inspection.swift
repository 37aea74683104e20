internal import Audit
internal import Firewall
internal import HTTP
internal import Loop
internal import Policy
internal import Server

/// A request that the firewall lets through.
struct InspectedRequest: ~Copyable {
    let validated: ValidatedRequest

    /// - Throws: `Refusal.suspicious`; `FirewallError` when it cannot be inspected.
    @OnLoop
    @inline(__always)
    init(_ validated: consuming ValidatedRequest, _ inspection: Inspection, _ trail: Trail) async throws {
        try await inspection.inspect(validated, trail)
        self.validated = validated
    }
}

/// The firewall with what the policy says of each route.
@OnLoop
final class Inspection {
    private let firewall: Firewall
    private let policy: InspectionPolicy
    private var settings: [ObjectIdentifier: FirewallSettings] = [:]

    /// Loads the rules, which takes a tenth of a second.
    ///
    /// - Throws: `FirewallError` with file and line of a mistake.
    init(_ policy: InspectionPolicy, _ routes: RouteTable, rules directory: String) throws {
        self.policy = policy
        let policy = FirewallPolicy(policy, routes, directory: directory)
        firewall = Firewall(try SecLangEngine(policy), policy)
    }

    @inline(__always)
    fileprivate func inspect(_ validated: borrowing ValidatedRequest, _ trail: Trail) async throws {
        let settings = settings(for: validated.route)
        guard settings.mode != .off else { return }
        let request = validated.request
        let verdict = try await firewall.inspect(
            FirewallRequest(
                head: request.head, ids: validated.ids, content: validated.freeText,
                clientAddress: request.connection.peerAddress),
            settings)
        trail.found(verdict)
        if case .refused(let status) = verdict.decision { throw Refusal.suspicious(status) }
    }

    private func settings(for route: Route) -> FirewallSettings {
        if let known = settings[ObjectIdentifier(route)] { return known }
        let new = FirewallSettings(policy.settings(for: route))
        settings[ObjectIdentifier(route)] = new
        return new
    }
}

extension FirewallPolicy {
    fileprivate init(_ policy: InspectionPolicy, _ routes: RouteTable, directory: String) {
        self.init(directory: directory)
        let levels = routes.routes.map { policy.settings(for: $0) }.filter { $0.mode != .off }.map(\.paranoiaLevel)
        if let least = levels.min(), let most = levels.max() { paranoiaLevels = least...most }
        coreRules = policy.coreRules
        inspectionTime = policy.inspectionTime
        maximumConcurrent = policy.maximumConcurrent
        maximumWaiting = policy.maximumWaiting
        rememberedVerdicts = policy.rememberedVerdicts
        rememberedBytes = policy.rememberedSize.bytes
    }
}

extension FirewallSettings {
    fileprivate init(_ settings: InspectionPolicy.Settings) {
        let mode: Mode =
            switch settings.mode {
            case .on: .on
            case .detectionOnly: .detectionOnly
            case .off: .off
            }
        self.init(
            mode: mode, paranoiaLevel: settings.paranoiaLevel, inboundThreshold: settings.inboundThreshold)
    }
}
