internal import Egress
internal import Lifecycle
public import Policy
internal import Telemetry

/// How many files each process of an installation must be able to have open, by its policies.
public struct OpenFileDemand: Sendable, Equatable {
    /// For what is no connection of a client's, or of the gateway's to the bridge: the program itself, the log, the
    /// loop, the connections that ask for health and metrics.
    private static let others = 256

    /// For one gateway worker.
    let gateway: Int
    /// For the bridge.
    let bridge: Int
    /// For `drawbridge up`, which keeps every worker's sockets open.
    let supervisor: Int

    /// - Parameter workers: how many gateway workers there are.
    public init(_ gateway: GatewayPolicy, _ bridge: BridgePolicy, _ egress: EgressPolicy, workers: Int) {
        let publicListeners = gateway.listeners.count { !$0.isAdmin }
        self.gateway =
            publicListeners * gateway.limits.maximumConnections + gateway.upstream.maximumConnections + Self.others
        // While a receiver's name is looked up there are two files in place of a connection, and while the first of its addresses
        // does not answer a second connection.
        let receivers = 2 * egress.terms.connections
        self.bridge =
            workers * gateway.upstream.maximumConnections + bridge.database.poolSize + receivers + Self.others
        supervisor = workers * (gateway.listeners.count + 1) + Self.others
    }

    /// What the neediest process needs.
    var most: Int { max(gateway, bridge, supervisor) }

    /// Lets this process, and with it those it starts, have so many; says so in the log where the system does not.
    public func allow() {
        let allowed = OpenFiles.allow(most)
        guard allowed < most else { return }
        Log.warning(
            "too few files may be open for what the policies allow",
            [
                "limit": .init(allowed), "gateway_needs": .init(gateway), "bridge_needs": .init(bridge),
                "supervisor_needs": .init(supervisor),
            ])
    }

    /// What doctor says about it.
    var finding: Finding {
        let limit = OpenFiles.hardLimit
        guard limit < most else { return .well("open files: \(limit) allowed, \(most) needed") }
        return .warning(
            "open files", "at most \(limit) are allowed, but a gateway worker needs \(gateway), the bridge \(bridge)",
            fix: "raise the hard limit (LimitNOFILE=\(most) under systemd, or ulimit -Hn), or lower limits."
                + "maximum_connections and upstream.maximum_connections")
    }
}
