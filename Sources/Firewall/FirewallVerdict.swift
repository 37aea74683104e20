public import HTTP

/// What becomes of a request, and why; all of it may stand in the ledger.
public struct FirewallVerdict: Sendable, Equatable {
    /// What becomes of a request.
    public enum Decision: Sendable, Equatable {
        /// Nothing was found, or not enough.
        case allowed
        /// The rules would have refused it with this status, but the route only detects.
        case detected(Status)
        /// It is to be answered with this status, 403 or 415.
        case refused(Status)
    }

    /// What becomes of the request.
    public let decision: Decision

    /// What the rules said; nil where the route is not inspected.
    public let finding: Finding?

    /// Whether an earlier verdict on the same request was used.
    public let isRemembered: Bool

    init(_ finding: Finding, _ mode: FirewallSettings.Mode, isRemembered: Bool) {
        self.finding = finding
        self.isRemembered = isRemembered
        decision =
            switch (finding.refusal, mode) {
            case (let status?, .on): .refused(status)
            case (let status?, _): .detected(status)
            case (nil, _): .allowed
            }
    }

    private init() {
        decision = .allowed
        finding = nil
        isRemembered = false
    }

    /// The verdict on routes whose mode is `Off`.
    static let uninspected = FirewallVerdict()
}
