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
    /// Where each slot's sockets but the last are, with the ports they got.
    private let places: [Place]

    /// Where a listener is.
    struct Place {
        let name: String
        var address: SocketAddress
        /// The environment's variable that chooses the port, if one does.
        let variable: String?
    }

    /// Binds them all.
    ///
    /// - Parameters:
    ///   - listeners: of a policy, which has one for clients and one called `admin`.
    ///   - port: in place of the first public listener's; 0 for any free one.
    ///   - adminPort: the same for the admin listener.
    /// - Throws: `InstallationError` when one is taken, or two of them are the same.
    public init(
        _ listeners: [GatewayPolicy.Listener], workers: Int, port: UInt16?, adminPort: UInt16?, run: RunDirectory
    ) throws {
        var places = Self.places(listeners, port: port, adminPort: adminPort)
        var slots = [[HandedSocket]](repeating: [], count: workers)
        for number in places.indices {
            try Self.requireApart(places[number], from: places[..<number])
            if places[number].address.port != 0 { try Self.requireFree(places[number]) }
            for index in slots.indices {
                let socket = HandedSocket(places[number].name, try Self.bind(places[number], isShared: true))
                places[number].address = places[number].address.with(port: Int(socket.port))
                slots[index].append(socket)
            }
        }
        self.places = places
        self.port = UInt16(places[0].address.port)
        self.adminPort = UInt16(places[places.count - 1].address.port)
        for index in slots.indices {
            slots[index].append(try Self.processAdmin("gateway-\(index)", run))
        }
        self.slots = slots
        isSecure = listeners.first { !$0.isAdmin }?.tls != nil
    }

    /// Lets connections wait for the workers, which are to be started now: a socket that listens keeps others from the
    /// port, where one that is only bound does not.
    ///
    /// - Throws: `InstallationError` when another installation has been faster.
    public func listen() throws {
        for (number, place) in places.enumerated() {
            for (worker, sockets) in slots.enumerated() {
                do { try sockets[number].listen(asFirst: worker == 0) } catch { throw Self.failure(error, place) }
            }
        }
    }

    /// A process's own admin socket.
    public static func processAdmin(_ process: String, _ run: RunDirectory) throws -> HandedSocket {
        HandedSocket("process-admin", try ListeningSocket(unixPath: run.adminSocket(of: process)))
    }

    /// Where a policy's listeners are to be, `admin` as the last.
    static func places(_ listeners: [GatewayPolicy.Listener], port: UInt16?, adminPort: UInt16?) -> [Place] {
        func place(_ listener: GatewayPolicy.Listener, _ variable: String?, _ port: UInt16?) -> Place {
            let address = port.map { listener.address.with(port: Int($0)) } ?? listener.address
            return Place(name: listener.name, address: address, variable: variable)
        }
        let publicListeners = listeners.filter { !$0.isAdmin }
        guard let first = publicListeners.first, let admin = listeners.first(where: \.isAdmin) else {
            preconditionFailure("a policy with both was read")
        }
        return [place(first, "DRAWBRIDGE_PORT", port)] + publicListeners.dropFirst().map { place($0, nil, nil) }
            + [place(admin, "DRAWBRIDGE_ADMIN_PORT", adminPort)]
    }

    /// Sockets of ours may share a port: two listeners on it would get half of each other's connections. The policy has
    /// none; the environment can choose such ports.
    static func requireApart(_ place: Place, from others: some Sequence<Place>) throws {
        guard let other = others.first(where: { $0.address.overlaps(place.address) }) else { return }
        throw InstallationError(
            "\(place.address) is to be listener \(place.name)'s, and \(other.address) is \(other.name)'s",
            remedy: otherPort(place))
    }

    /// Sockets of ours may share a port with those of another installation of the same user, who would then get half of
    /// each other's connections; an exclusive one may not.
    static func requireFree(_ place: Place) throws { _ = try bind(place, isShared: false) }

    private static func bind(_ place: Place, isShared: Bool) throws -> ListeningSocket {
        do {
            return try ListeningSocket(
                address: place.address.host, port: UInt16(place.address.port), isShared: isShared)
        } catch { throw failure(error, place) }
    }

    private static func failure(_ error: LoopError, _ place: Place) -> InstallationError {
        let other = otherPort(place)
        switch error.status {
        case -EADDRINUSE:
            return InstallationError("\(place.address) is taken by another program", remedy: "stop it, or \(other)")
        case -EACCES: return InstallationError("this user may not listen on \(place.address)", remedy: other)
        default: return InstallationError("cannot listen on \(place.address): \(error)", remedy: other)
        }
    }

    private static func otherPort(_ place: Place) -> String {
        "choose another port" + (place.variable.map { " by \($0) (0 takes any free one)" } ?? " in gateway.yaml")
    }
}
