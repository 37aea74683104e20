internal import Glibc
public import Lifecycle
public import Loop
public import Policy

/// The sockets of every gateway worker: for each of them its own on every port, so that the kernel spreads connections.
@OnLoop
public struct GatewaySockets {
    /// What each worker gets: the policy's listeners in order, `admin`, `process-admin`.
    public let slots: [[HandedSocket]]
    /// The port of the first public listener.
    public let port: UInt16
    /// The port of the admin listener.
    public let adminPort: UInt16
    /// Whether the first public listener speaks TLS.
    public let isSecure: Bool

    /// Binds them all.
    ///
    /// - Parameters:
    ///   - listeners: of a policy, which has one for clients and one called `admin`.
    ///   - port: in place of the first public listener's; 0 for any free one.
    ///   - adminPort: the same for the admin listener.
    /// - Throws: `InstallationError` when one is taken.
    public init(
        _ listeners: [GatewayPolicy.Listener], workers: Int, port: UInt16?, adminPort: UInt16?, run: RunDirectory
    ) throws {
        let publicListeners = listeners.filter { !$0.isAdmin }
        guard let first = publicListeners.first, let admin = listeners.first(where: \.isAdmin) else {
            preconditionFailure("a policy with both was read")
        }
        var slots = [[HandedSocket]](repeating: [], count: workers)
        func open(_ name: String, _ address: SocketAddress, _ variable: String?, _ chosen: UInt16?) throws -> UInt16 {
            var port = chosen ?? UInt16(address.port)
            if port != 0 { try Self.requireFree(address.host, port, variable) }
            for index in slots.indices {
                let socket = HandedSocket(name, try Self.bind(address.host, port, isShared: true, variable))
                port = socket.port
                slots[index].append(socket)
            }
            return port
        }
        self.port = try open(first.name, first.address, "DRAWBRIDGE_PORT", port)
        for listener in publicListeners.dropFirst() { _ = try open(listener.name, listener.address, nil, nil) }
        self.adminPort = try open(admin.name, admin.address, "DRAWBRIDGE_ADMIN_PORT", adminPort)
        for index in slots.indices {
            slots[index].append(try Self.processAdmin("gateway-\(index)", run))
        }
        self.slots = slots
        isSecure = first.tls != nil
    }

    /// A process's own admin socket.
    public static func processAdmin(_ process: String, _ run: RunDirectory) throws -> HandedSocket {
        HandedSocket("process-admin", try ListeningSocket(unixPath: run.adminSocket(of: process)))
    }

    /// Sockets of ours may share a port with those of another installation of the same user, who would then get half of
    /// each other's connections; an exclusive one may not.
    static func requireFree(_ host: String, _ port: UInt16, _ variable: String?) throws {
        _ = try bind(host, port, isShared: false, variable)
    }

    private static func bind(
        _ host: String, _ port: UInt16, isShared: Bool, _ variable: String?
    ) throws -> ListeningSocket {
        do { return try ListeningSocket(address: host, port: port, isShared: isShared) } catch {
            let place = host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
            let other =
                "choose another port" + (variable.map { " by \($0) (0 takes any free one)" } ?? " in gateway.yaml")
            switch error.status {
            case -EADDRINUSE:
                throw InstallationError("\(place) is taken by another program", remedy: "stop it, or \(other)")
            case -EACCES: throw InstallationError("this user may not listen on \(place)", remedy: other)
            default: throw InstallationError("cannot listen on \(place): \(error)", remedy: other)
            }
        }
    }
}
