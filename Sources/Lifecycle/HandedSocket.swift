public import Loop

/// A bound socket that a supervisor opens and keeps, and a child gets by name.
@OnLoop
public final class HandedSocket {
    /// The child's name for it (`LISTEN_FDNAMES`).
    public let name: String
    private let socket: ListeningSocket

    public init(_ name: String, _ socket: consuming ListeningSocket) {
        self.name = name
        self.socket = socket
    }

    /// The TCP port; 0 for a unix-domain socket.
    public var port: UInt16 { socket.port }

    /// Lets connections wait for the child.
    ///
    /// - Parameter isFirst: whether it is refused where anybody listens on the port already.
    public func listen(asFirst isFirst: Bool) throws(LoopError) { try socket.listen(asFirst: isFirst) }

    /// Valid while this object lives.
    var descriptor: Int32 { socket.inheritable }
}
