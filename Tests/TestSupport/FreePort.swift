import Loop

/// A port of the loopback that nobody has, for a server that opens its own.
///
/// It is none of those that the kernel gives to clients, and to listeners that ask for any: so nobody gets it by chance
/// before the server does, or while that is down.
@OnLoop
package func freePort() throws -> UInt16 {
    for _ in 0..<1000 {
        let port = UInt16.random(in: 20_000..<32_768)
        do {
            _ = try ListeningSocket(address: "127.0.0.1", port: port)
            return port
        } catch {}
    }
    throw LoopError(.unreachable, "find a port")
}
