// Runs the bridge alone, with a TCP port in the place of its socket, and says how to ask it as a gateway does.
//
// usage: bench-bridge serve PROGRAM POLICIES HOME PORT    with DATABASE_URL in the environment; becomes PROGRAM
//        bench-bridge identity HOP-KEY REQUEST-ID TARGET  prints the header's value, good for 30 seconds
//
// The bridge takes the sockets that a supervisor hands it for what they are, so that any client can load it.

import Authentication
import Glibc

func fail(_ reason: String) -> Never {
    print("bench-bridge: \(reason)")
    exit(1)
}

func listen(on port: UInt16) -> Int32 {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var yes: Int32 = 1
    setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size))
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    let isBound = withUnsafePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
        }
    }
    guard isBound, Glibc.listen(descriptor, 1024) == 0 else { fail("cannot listen on \(port)") }
    return descriptor
}

let arguments = CommandLine.arguments
switch (arguments.dropFirst().first, arguments.count) {
case ("serve", 6):
    guard let port = UInt16(arguments[5]) else { fail("\(arguments[5]) is no port") }
    // Handed-down sockets begin at 3 (sd_listen_fds(3)).
    let descriptor = listen(on: port)
    if descriptor != 3 { dup2(descriptor, 3) }
    setenv("LISTEN_FDS", "1", 1)
    setenv("LISTEN_FDNAMES", "bridge", 1)
    setenv("LISTEN_PID", String(getpid()), 1)
    let words = [arguments[2], "--config", arguments[3], "--home", arguments[4]]
    var pointers: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
    execv(arguments[2], &pointers)
    fail("cannot run \(arguments[2])")
case ("identity", 5):
    let hop = try HopIdentity(keyFile: arguments[2])
    let identity = Identity(
        issuer: "https://bench.drawbridge.example", subject: "bench", client: "bench",
        scopes: [.availabilityRead, .hotelRead], hotelIDs: .all, method: .jwt)
    print(
        hop.sign(
            identity, requestID: arguments[3], method: "GET", target: arguments[4], now: Int64(time(nil))))
default: fail("usage: see Benchmarks/Bridge/main.swift")
}
