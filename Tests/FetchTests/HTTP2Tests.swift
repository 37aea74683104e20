import Egress
import Fetch
import Glibc
import HTTP
import Loop
import TestSupport
import Testing

/// The environment that `Scripts/python-tools` makes.
private enum PythonTools {
    static let root = String(#filePath.split(separator: "/Tests/")[0])
    static let python = "\(root)/.build/python-tools/bin/python3"
    static let areThere = access(python, X_OK) == 0
}

/// Against Python's `h2` and TLS.
@Suite("Sending by HTTP/2", .enabled(if: PythonTools.areThere, "Scripts/python-tools"))
struct HTTP2Tests {
    @Test("Many requests share one connection, as many as the receiver takes at once")
    func shared() async throws {
        try await Self.run(streams: 100) { courier, destination in
            let replies = try await Self.send(90, courier, destination)
            #expect(replies.allSatisfy { $0.version == .http2 && $0.status == 200 && $0.retryAfter == "7" })
            let answers = Set(replies.map { String(decoding: $0.content, as: UTF8.self) })
            let expected = (0..<90).map { #"{"connection": 1, "resumed": false, "body": "\#($0)"}"# }
            #expect(answers == Set(expected))
            #expect(replies.count { !$0.isConnectionReused } == 1)
        }
    }

    @Test("More requests than a connection takes at once are all answered, each with its own answer")
    func excess() async throws {
        for (streams, count) in [(100, 500), (3, 200)] {
            try await Self.run(streams: streams) { courier, destination in
                let replies = try await Self.send(count, courier, destination)
                #expect(replies.allSatisfy { $0.version == .http2 && $0.status == 200 })
                let bodies = Set(
                    replies.map { String(decoding: $0.content, as: UTF8.self).split(separator: "body")[1] })
                #expect(bodies.count == count)
                // Each that is made is used again.
                #expect(replies.count { !$0.isConnectionReused } <= 100 / streams + 8)
            }
        }
    }

    @Test("A request that the receiver breaks off is lost, and the others on its connection are not")
    func broken() async throws {
        try await Self.run(streams: 100) { courier, destination in
            for _ in 0..<3 {
                _ = try await Self.send(1, courier, destination)
                let error = await #expect(throws: SendError.self) {
                    _ = try await courier.send(Array("reset".utf8), to: destination, fields: Fields())
                }
                #expect(error?.code == .connectionLost)
            }
            let reply = try #require(try await Self.send(1, courier, destination).first)
            #expect(String(decoding: reply.content, as: UTF8.self).contains(#""connection": 1,"#))
        }
    }

    /// As libcurl (7.88) does where it finds the answer of one while it reads for another, and is not done with sending.
    @Test("An answer that comes before all was sent is not lost, however many share the connection")
    func early() async throws {
        try await Self.run(streams: 100) { courier, destination in
            _ = try await Self.send(1, courier, destination)
            var early = Fields()
            early.append("early", "1")
            // More than may be sent before the receiver has said that it takes more (RFC 9113 section 6.9.2).
            let replies = try await Self.send(
                50, courier, destination, early, padding: .init(repeating: "0", count: 200_000))
            #expect(replies.allSatisfy { $0.status == 200 && $0.retryAfter == "7" && $0.ending == .whole })
            #expect(replies.contains { $0.version == .http11 })
        }
    }

    @Test("Where a host speaks HTTP/2 on some connections only, each request has its own answer")
    func mixed() async throws {
        try await Self.run(streams: 3, mixed: true) { courier, destination in
            for _ in 0..<5 {
                let replies = try await Self.send(100, courier, destination)
                for (number, reply) in replies.enumerated() {
                    #expect(String(decoding: reply.content, as: UTF8.self).hasSuffix(#""body": "\#(number)"}"#))
                }
                #expect(Set(replies.map(\.version)) == [.http11, .http2])
            }
        }
    }

    /// Sends many at once, each with its number; their answers are in that order.
    @OnLoop
    private static func send(
        _ count: Int, _ courier: Courier, _ destination: Destination, _ fields: Fields = Fields(), padding: String = ""
    ) async throws -> [Reply] {
        try await withThrowingTaskGroup(of: (number: Int, reply: Reply).self) { group in
            for number in 0..<count {
                group.addTask {
                    (number, try await courier.send(Array("\(padding)\(number)".utf8), to: destination, fields: fields))
                }
            }
            var answered: [(number: Int, reply: Reply)] = []
            for try await pair in group { answered.append(pair) }
            return answered.sorted { $0.number < $1.number }.map(\.reply)
        }
    }

    /// Starts a receiver, and a courier that may send there.
    private static func run(
        streams: Int, mixed: Bool = false,
        _ body: @escaping @Sendable @OnLoop (Courier, Destination) async throws -> Void
    ) async throws {
        try await onLoop {
            let certificates = try await Certificates()
            defer { certificates.remove() }
            let (input, output) = (try makePipe(), try makePipe())
            let receiver = try ChildProcess(
                PythonTools.python,
                [
                    "\(PythonTools.root)/Tests/FetchTests/receiver.py", certificates.path("good"),
                    certificates.key("good"), "\(streams)",
                ] + (mixed ? ["mixed"] : []),
                environment: [:], descriptors: [.inherit(input.read), .inherit(output.write), .inherit(2)])
            close(input.read)
            close(output.write)
            let lines = try #require(fdopen(output.read, "r"))
            defer { fclose(lines) }
            // Python has started by the time it has a port.
            var line = [UInt8](repeating: 0, count: 5)
            let count = fread(&line, 1, line.count, lines)
            var terms = SendingTerms()
            terms.connectionsPerHost = 8
            terms.authoritiesFile = certificates.authorities
            let egressGuard = Trial.guardOfThisMachine()
            let courier = Courier(egressGuard, terms)
            let port = UInt16(String(decoding: line[..<count], as: UTF8.self)) ?? 0
            var failure: (any Error)?
            do {
                try await body(courier, egressGuard.destination("https://localhost:\(port)/"))
            } catch { failure = error }
            courier.close()
            close(input.write)
            #expect(try await receiver.waitForExit().isSuccess)
            if let failure { throw failure }
        }
    }

    private static func makePipe() throws -> (read: Int32, write: Int32) {
        var ends: [Int32] = [0, 0]
        try #require(pipe(&ends) == 0)
        // A child that had the writing end would never see the end of what it reads.
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        return (ends[0], ends[1])
    }
}
