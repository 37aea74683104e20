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
        try await onLoop {
            let certificates = try await Certificates()
            let (input, output) = (try Self.makePipe(), try Self.makePipe())
            let receiver = try ChildProcess(
                PythonTools.python,
                [
                    "\(PythonTools.root)/Tests/FetchTests/receiver.py", certificates.path("good"),
                    certificates.key("good"),
                ],
                environment: [:], descriptors: [.inherit(input.read), .inherit(output.write), .inherit(2)])
            close(input.read)
            close(output.write)
            let lines = try #require(fdopen(output.read, "r"))
            // Python has started by the time it has a port.
            var line = [UInt8](repeating: 0, count: 5)
            try #require(fread(&line, 1, line.count, lines) == line.count)
            let port = try #require(UInt16(String(decoding: line, as: UTF8.self)))

            var terms = SendingTerms()
            terms.authoritiesFile = certificates.authorities
            let egressGuard = Trial.guardOfThisMachine()
            let courier = Courier(egressGuard, terms)
            let destination = try egressGuard.destination("https://localhost:\(port)/")
            let replies = try await withThrowingTaskGroup(of: Reply.self) { group in
                for number in 0..<90 {
                    group.addTask {
                        try await courier.send(Array("\(number)".utf8), to: destination, fields: Fields())
                    }
                }
                var replies: [Reply] = []
                for try await reply in group { replies.append(reply) }
                return replies
            }
            #expect(replies.count == 90)
            #expect(replies.allSatisfy { $0.version == .http2 && $0.status == 200 && $0.retryAfter == "7" })
            let answers = Set(replies.map { String(decoding: $0.content, as: UTF8.self) })
            let expected = (0..<90).map { #"{"connection": 1, "resumed": false, "body": "\#($0)"}"# }
            #expect(answers == Set(expected))
            #expect(replies.count { !$0.isConnectionReused } == 1)
            courier.close()
            close(input.write)
            #expect(try await receiver.waitForExit().isSuccess)
            fclose(lines)
            certificates.remove()
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
