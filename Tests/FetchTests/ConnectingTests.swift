import Egress
import Fetch
import Glibc
import HTTP
import Loop
import TLS
import TestSupport
import Testing

/// Connections that do not come about: libcurl closes their sockets without telling, and their numbers are soon others'.
@Suite("Connecting")
struct ConnectingTests {
    private static let script: FakeUpstream.Script = { connection in
        while true {
            _ = try await connection.receiveHello()
            try await connection.send(okay)
        }
    }

    @OnLoop
    private static func code(
        sending courier: Courier, to destination: Destination, _ deadline: Duration? = nil
    ) async throws -> SendError.Code? {
        do {
            _ = try await courier.send(Array("hello".utf8), to: destination, fields: Fields(), deadline: deadline)
            return nil
        } catch let error as SendError { return error.code }
    }

    @OnLoop
    private static func sendOnNewConnections(_ trial: Trial) async throws {
        let other = try FakeUpstream { connection in
            _ = try await connection.receiveHello()
            try await connection.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        }
        let destination = try trial.egressGuard.destination("http://127.0.0.1:\(other.port)/")
        for _ in 0..<50 { #expect(try await code(sending: trial.courier, to: destination) == nil) }
        #expect(other.accepted == 50)
        await other.stop()
    }

    @Test("Those who are never connected are given up, again and again, and the others answered meanwhile")
    func hanging() async throws {
        try await onLoop {
            let full = try FullListener()
            try await Trial.run({ $0.connectDeadline = .milliseconds(100) }, script: Self.script) { trial in
                let destinations = try (1...20).map {
                    try trial.egressGuard.destination("https://127.0.0.1:\(full.port)/\($0)")
                }
                try await withThrowingDiscardingTaskGroup { group in
                    for destination in destinations {
                        group.addTask {
                            for _ in 0..<3 {
                                let code = try await Self.code(sending: trial.courier, to: destination)
                                #expect(code == .timedOut)
                            }
                        }
                    }
                    // New connections, whose sockets have the numbers of those given up.
                    for _ in 0..<5 {
                        group.addTask { try await Self.sendOnNewConnections(trial) }
                    }
                }
                for _ in 0..<20 { try await trial.expect(200) }
            }
        }
    }

    @Test("A task that is cancelled while it is being connected leaves nothing that is watched")
    func cancelled() async throws {
        try await onLoop {
            let full = try FullListener()
            try await Trial.run(script: Self.script) { trial in
                let destination = try trial.egressGuard.destination("https://127.0.0.1:\(full.port)/")
                for _ in 0..<20 {
                    let tasks = (0..<8).map { _ in
                        Task { try await Self.code(sending: trial.courier, to: destination) }
                    }
                    // A request that is answered has taken the loop round: the others are being connected by then.
                    try await trial.expect(200)
                    for task in tasks { task.cancel() }
                    for task in tasks {
                        await #expect(throws: CancellationError.self) { _ = try await task.value }
                    }
                    try await trial.expect(200)
                }
                #expect(trial.courier.underWay == 0)
            }
        }
    }

    @Test("Where the first of a name's addresses hangs, the next is sent to, for all that come at once")
    func next() async throws {
        try await onLoop {
            // Each answer ends its connection, so that each request makes one.
            let script: FakeUpstream.Script = { connection in
                _ = try await connection.receiveHello()
                try await connection.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            }
            try await Trial.run(script: script) { trial in
                // libcurl knows both of the name's addresses by itself, and tries this one first.
                let full = try FullListener("::1", port: trial.receiver.port)
                for _ in 0..<3 {
                    try await withThrowingDiscardingTaskGroup { group in
                        for _ in 0..<16 {
                            group.addTask {
                                let reply = try await trial.send().get()
                                #expect(reply.status == 200 && reply.address == IPAddress("127.0.0.1"))
                            }
                        }
                    }
                }
                #expect(trial.receiver.accepted == 48)
                #expect(full.port == trial.receiver.port)
            }
        }
    }

    @Test("One address after the other that takes no connection, in the same step, is not taken for the one before")
    func refusing() async throws {
        try await onLoop {
            let certificates = try await Certificates()
            let context = try TLSServerContext(
                .init(certificateChainPath: certificates.path("good"), keyPath: certificates.key("good")))
            let last = try FakeUpstream(address: "127.0.0.9") { connection in
                connection.stream.security = try context.makeSession()
                _ = try await connection.receive()
                try await connection.send(okay)
            }
            let addresses = (2...9).map { "127.0.0.\($0)" }
            let said = try await CourierGuardTests.send(
                to: "https://changing.test:\(last.port)/", certificates.authorities, addresses.joined(separator: ","),
                3,
                allowing: ["127.0.0.0/8"])
            #expect(said == Array(repeating: "200 from 127.0.0.9", count: 3))
            let full = try FullListener("127.0.0.2", port: last.port)
            let late = try await CourierGuardTests.send(
                to: "https://changing.test:\(last.port)/", certificates.authorities, addresses.joined(separator: ","),
                3,
                allowing: ["127.0.0.0/8"])
            #expect(late == Array(repeating: "200 from 127.0.0.9", count: 3))
            #expect(full.port == last.port)
            await last.stop()
            certificates.remove()
        }
    }
}
