import Egress
import Fetch
import Glibc
import HTTP
import Loop
import TestSupport
import Testing

@Suite("Sending to receivers")
struct CourierTests {
    /// Answers every request alike.
    private static func answering(_ text: String) -> FakeUpstream.Script {
        { connection in
            while true {
                _ = try await connection.receiveHello()
                try await connection.send(text)
            }
        }
    }

    @Test("A request arrives as it was given, and the answer comes with what is told of it")
    func exchange() async throws {
        try await onLoop {
            let answer = "HTTP/1.1 503 Busy\r\nContent-Length: 5\r\nretry-AFTER:  120 \r\n\r\nlater"
            try await Trial.run(script: Self.answering(answer)) { trial in
                let reply = try await trial.send(
                    fields: [("webhook-id", "msg_1"), ("content-type", "application/json"), ("x-empty", "")]
                ).get()
                #expect(reply.status == 503 && reply.content == Array("later".utf8) && reply.ending == .whole)
                #expect(reply.retryAfter == "120" && reply.version == .http11)
                #expect(reply.address == IPAddress("127.0.0.1"))
                #expect(!reply.isConnectionReused && !reply.isSessionResumed)
                let timings = reply.timings
                #expect(.zero < timings.connect && timings.connect <= timings.tls && timings.tls <= timings.firstByte)
                #expect(timings.name <= timings.connect && timings.firstByte <= timings.total)
                let request = try #require(trial.receiver.requests.first)
                #expect(request.hasPrefix("POST /hook HTTP/1.1\r\nHost: localhost:\(trial.receiver.port)\r\n"))
                for line in ["webhook-id: msg_1", "content-type: application/json", "x-empty:", "Content-Length: 5"] {
                    #expect(request.contains("\r\n\(line)\r\n"), "\(line)")
                }
                #expect(!request.lowercased().contains("encoding") && !request.contains("Expect"))
            }
        }
    }

    @Test("A large body goes without being asked for first, and an empty one goes, too")
    func bodies() async throws {
        try await onLoop {
            let script: FakeUpstream.Script = { connection in
                _ = try await connection.receive()
                try await connection.send("HTTP/1.1 204 No Content\r\n\r\n")
                _ = try await connection.receive(endingIn: "end")
                try await connection.send("HTTP/1.1 204 No Content\r\n\r\n")
            }
            try await Trial.run(script: script) { trial in
                try await trial.expect(204, body: "")
                let large = String(repeating: "x", count: 3 << 20) + "end"
                try await trial.expect(204, body: large)
                #expect(trial.receiver.requests[0].contains("Content-Length: 0\r\n"))
                #expect(trial.receiver.requests[1].hasSuffix(large))
            }
        }
    }

    @Test("A connection is used again, a new one goes on with the TLS session of an earlier one")
    func reuse() async throws {
        try await onLoop {
            let script: FakeUpstream.Script = { connection in
                for field in ["", "Connection: close\r\n"] {
                    _ = try await connection.receiveHello()
                    try await connection.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\(field)\r\n")
                }
            }
            try await Trial.run(script: script) { trial in
                var found: [String] = []
                for _ in 0..<4 {
                    let reply = try await trial.send().get()
                    found.append("\(reply.isConnectionReused) \(reply.isSessionResumed)")
                }
                #expect(found == ["false false", "true false", "false true", "true false"])
                #expect(trial.receiver.accepted == 2)
            }
        }
    }

    @Test("A connection that the receiver has closed while it was idle costs no delivery")
    func idleClosed() async throws {
        try await onLoop {
            let script: FakeUpstream.Script = { connection in
                _ = try await connection.receiveHello()
                try await connection.send(okay)
            }
            try await Trial.run(script: script) { trial in
                for _ in 0..<20 { try await trial.expect(200) }
                #expect(trial.receiver.accepted == 20)
            }
        }
    }

    @Test("No more of an answer is read than is kept, whatever was announced")
    func bound() async throws {
        try await onLoop {
            let content = String(repeating: "x", count: 1001)
            for head in ["Content-Length: 1001", "Connection: close"] {
                for (bound, ending) in [(1001, Reply.Ending.whole), (1000, .cut), (0, .cut)] {
                    let script: FakeUpstream.Script = { connection in
                        _ = try await connection.receiveHello()
                        try await connection.send("HTTP/1.1 200 OK\r\n\(head)\r\n\r\n\(content)")
                    }
                    try await Trial.run({ $0.maximumAnswer = bound }, script: script) { trial in
                        let reply = try await trial.send().get()
                        #expect(reply.status == 200 && reply.ending == ending && reply.content.count == bound)
                    }
                }
            }
        }
    }

    @Test("A flood is cut off, and the receiver is hung up on")
    func flood() async throws {
        try await onLoop {
            let hungUp = Signal()
            let script: FakeUpstream.Script = { connection in
                _ = try await connection.receiveHello()
                defer { hungUp.fire() }
                try await connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                let chunk = "8000\r\n\(String(repeating: "x", count: 0x8000))\r\n"
                while true { try await connection.send(chunk) }
            }
            try await Trial.run(script: script) { trial in
                let reply = try await trial.send().get()
                #expect(reply.status == 200 && reply.ending == .cut && reply.content.count == 16 << 10)
                try await hungUp.wait()
            }
        }
    }

    @Test("A receiver that drips is given up at the deadline, with its status if that has come")
    func drip() async throws {
        try await onLoop {
            for head in ["HTTP/1.1 202 Accepted\r\nContent-Length: 100000\r\n\r\n", "HTTP/1.1 202 Acc"] {
                let script: FakeUpstream.Script = { connection in
                    // Connected by then, the next one has the deadline for its answer alone.
                    _ = try await connection.receiveHello()
                    try await connection.send(okay)
                    _ = try await connection.receiveHello()
                    try await connection.send(head)
                    while true {
                        try await connection.send("x")
                        try await Loop.sleep(for: .milliseconds(5))
                    }
                }
                try await Trial.run({ $0.totalDeadline = .seconds(60) }, script: script) { trial in
                    try await trial.expect(200)
                    let result = try await trial.send(deadline: .seconds(1))
                    if head.hasSuffix("\r\n\r\n") {
                        let reply = try result.get()
                        #expect(reply.status == 202 && reply.ending == .timedOut && !reply.content.isEmpty)
                    } else {
                        #expect(code(result) == .timedOut)
                    }
                }
            }
        }
    }

    @Test("Once its status has come, a receiver is not waited for much longer")
    func content() async throws {
        try await onLoop {
            let script = Self.answering("HTTP/1.1 202 Accepted\r\nContent-Length: 100\r\n\r\nx")
            let change: (inout SendingTerms) -> Void = {
                $0.totalDeadline = .seconds(120)
                $0.contentDeadline = .milliseconds(100)
            }
            try await Trial.run(change, script: script) { trial in
                let reply = try await trial.send().get()
                #expect(reply.status == 202 && reply.ending == .timedOut && reply.content == [UInt8(ascii: "x")])
                #expect(reply.timings.total < .seconds(60))
            }
        }
    }

    @Test("A receiver that hangs is given up: after connecting, in TLS, and before its answer")
    func hang() async throws {
        try await onLoop {
            let script: FakeUpstream.Script = { try await $0.end() }
            try await Trial.run({ $0.totalDeadline = .milliseconds(300) }, script: script) { trial in
                try await trial.expect(.timedOut)
                // It takes connections and does not speak TLS.
                let mute = try FakeUpstream { try await $0.end() }
                let destination = try trial.egressGuard.destination("https://localhost:\(mute.port)/")
                let error = await #expect(throws: SendError.self) {
                    _ = try await trial.courier.send([], to: destination, fields: Fields())
                }
                #expect(error?.code == .timedOut && error?.timings.tls == .zero)
                // By a deadline of its own.
                let sooner = await #expect(throws: SendError.self) {
                    _ = try await trial.courier.send(
                        [], to: trial.destination, fields: Fields(), deadline: .milliseconds(20))
                }
                #expect(sooner?.code == .timedOut)
                await mute.stop()
            }
        }
    }

    @Test("A connection that breaks is told from an answer that breaks off")
    func reset() async throws {
        try await onLoop {
            for (said, expected) in [
                ("", nil), ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n", nil),
                ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort", "short"),
                ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n", "short"),
            ] {
                let script: FakeUpstream.Script = { connection in
                    _ = try await connection.receiveHello()
                    try await connection.send(said)
                }
                try await Trial.run(script: script) { trial in
                    let result = try await trial.send()
                    if let expected {
                        let reply = try result.get()
                        #expect(reply.status == 200 && reply.ending == .broken)
                        #expect(reply.content == Array(expected.utf8))
                    } else {
                        #expect([.connectionLost, .malformed].contains(code(result)), "\(said)")
                    }
                }
            }
        }
    }

    @Test("A receiver that hangs up in the midst of a request has not answered")
    func interrupted() async throws {
        try await onLoop {
            try await Trial.run(script: { try await $0.end() }) { trial in
                // What it has not read makes the end a reset.
                let rude = try FakeUpstream { connection in _ = try await connection.stream.fill() }
                let destination = try trial.egressGuard.destination("http://127.0.0.1:\(rude.port)/")
                for _ in 0..<5 {
                    let error = await #expect(throws: SendError.self) {
                        _ = try await trial.courier.send(
                            [UInt8](repeating: 0x78, count: 64 << 20), to: destination, fields: Fields())
                    }
                    #expect(error?.code == .connectionLost)
                }
                await rude.stop()
            }
        }
    }

    @Test("More content than announced is nobody's answer")
    func excess() async throws {
        try await onLoop {
            let script: FakeUpstream.Script = { connection in
                _ = try await connection.receiveHello()
                try await connection.send(okay + "HTTP/1.1 500 Forged\r\nContent-Length: 0\r\n\r\n")
                try await connection.end()
            }
            try await Trial.run(script: script) { trial in
                for _ in 0..<3 { try await trial.expect(200) }
            }
        }
    }

    @Test(
        "What is no HTTP is no answer",
        arguments: [
            "SSH-2.0-OpenSSH_9.2\r\n", "<html></html>", "HTTP/1.1 abc\r\n\r\n",
            "HTTP/1.1 200 OK\r\n" + String(repeating: "x: \(String(repeating: "y", count: 1000))\r\n", count: 100),
            String(repeating: "HTTP/1.1 103 Early Hints\r\nlink: <x>\r\n\r\n", count: 3000),
        ])
    func malformed(text: String) async throws {
        try await onLoop {
            let script: FakeUpstream.Script = { connection in
                _ = try await connection.receiveHello()
                try await connection.send(text)
                try await connection.end()
            }
            try await Trial.run({ $0.totalDeadline = .seconds(60) }, script: script) { trial in
                try await trial.expect(.malformed)
            }
        }
    }

    @Test("Interim answers are not the answer")
    func interim() async throws {
        try await onLoop {
            let text = "HTTP/1.1 103 Early Hints\r\nRetry-After: 1\r\n\r\n\(okay)"
            try await Trial.run(script: Self.answering(text)) { trial in
                let reply = try await trial.send().get()
                #expect(reply.status == 200 && reply.retryAfter == nil && reply.content == Array("ok".utf8))
            }
        }
    }

    @Test(
        "A certificate is not believed, and why",
        arguments: [
            ("expired", SendError.TLSFault.expired), ("wrong-name", .wrongName), ("stranger", .untrusted),
        ])
    func certificates(name: String, fault: SendError.TLSFault) async throws {
        try await onLoop {
            try await Trial.run(certificate: name, script: Self.answering(okay)) { trial in
                try await trial.expect(.tls(fault))
                #expect(trial.receiver.requests.isEmpty)
            }
        }
    }

    @Test("What does not speak TLS gets nothing")
    func handshake() async throws {
        try await onLoop {
            try await Trial.run(script: Self.answering(okay)) { trial in
                let plain = try FakeUpstream { connection in
                    try await connection.send("HTTP/1.1 400 Bad Request\r\n\r\n")
                    try await connection.end()
                }
                let destination = try trial.egressGuard.destination("https://localhost:\(plain.port)/")
                let error = await #expect(throws: SendError.self) {
                    _ = try await trial.courier.send([], to: destination, fields: Fields())
                }
                #expect(error?.code == .tls(.handshake))
                await plain.stop()
            }
        }
    }

    @Test("A redirect is an answer, and nobody goes there")
    func redirect() async throws {
        try await onLoop {
            let inner = try FakeUpstream { try await $0.end() }
            for status in [301, 302, 303, 307, 308] {
                let text =
                    "HTTP/1.1 \(status) Over there\r\nLocation: http://127.0.0.1:\(inner.port)/\r\n"
                    + "Content-Length: 0\r\n\r\n"
                try await Trial.run(script: Self.answering(text)) { trial in
                    try await trial.expect(status)
                }
            }
            #expect(inner.accepted == 0)
            await inner.stop()
        }
    }

    @Test("Nobody there, no such name")
    func absent() async throws {
        try await onLoop {
            try await Trial.run(script: Self.answering(okay)) { trial in
                let port = try freePort()
                for (host, expected) in [
                    ("localhost:\(port)", SendError.Code.notConnected), ("nobody.invalid", .nameNotFound),
                ] {
                    let destination = try trial.egressGuard.destination("https://\(host)/")
                    let error = await #expect(throws: SendError.self) {
                        _ = try await trial.courier.send([], to: destination, fields: Fields())
                    }
                    #expect(error?.code == expected, "\(host)")
                }
            }
        }
    }

    @Test("Without TLS it goes where the policy says so")
    func plain() async throws {
        try await onLoop {
            try await Trial.run(script: Self.answering(okay)) { trial in
                let plain = try FakeUpstream(Self.answering(okay))
                let destination = try trial.egressGuard.destination("http://127.0.0.1:\(plain.port)/")
                for isReused in [false, true] {
                    let reply = try await trial.courier.send(Array("hello".utf8), to: destination, fields: Fields())
                    #expect(reply.status == 200 && reply.isConnectionReused == isReused)
                }
                await plain.stop()
            }
        }
    }

    @Test("A task that is cancelled sends no more, and its connection is closed")
    func cancellation() async throws {
        try await onLoop {
            let (arrived, ended) = (Signal(), Signal())
            let script: FakeUpstream.Script = { connection in
                while true {
                    _ = try await connection.receiveHello()
                    if connection.number > 1 {
                        try await connection.send(okay)
                    } else {
                        arrived.fire()
                        try await connection.end()
                        ended.fire()
                    }
                }
            }
            try await Trial.run(script: script) { trial in
                let task = Task { _ = try await trial.send() }
                try await arrived.wait()
                task.cancel()
                await #expect(throws: CancellationError.self) { try await task.value }
                try await ended.wait()
                #expect(trial.courier.underWay == 0)
                try await trial.expect(200)
                let unborn = Task { _ = try await trial.send() }
                unborn.cancel()
                await #expect(throws: CancellationError.self) { try await unborn.value }
            }
        }
    }

    @Test("Thousands at once share the few connections there may be, and each gets its own answer")
    func many() async throws {
        try await onLoop {
            let script: FakeUpstream.Script = { connection in
                while true {
                    let request = try await connection.receiveHello()
                    let number = request.firstMatch(of: /x-number: (\d+)/)!.1
                    try await connection.send(
                        "HTTP/1.1 200 OK\r\nContent-Length: \(number.utf8.count)\r\n\r\n\(number)")
                }
            }
            let change: (inout SendingTerms) -> Void = {
                $0.totalDeadline = .seconds(120)
                $0.connectDeadline = .seconds(120)
            }
            try await Trial.run(change, script: script) { trial in
                let right = try await withThrowingTaskGroup(of: Bool.self) { group in
                    for number in 0..<3000 {
                        group.addTask {
                            let reply = try await trial.send(fields: [("x-number", "\(number)")]).get()
                            return reply.content == Array("\(number)".utf8)
                        }
                    }
                    var right = 0
                    for try await isRight in group where isRight { right += 1 }
                    return right
                }
                #expect(right == 3000)
                #expect(trial.receiver.accepted <= 8)
            }
        }
    }

    @Test("Those whose turn does not come are given up, too, and it is not held against the receiver")
    func waiting() async throws {
        try await onLoop {
            let change: (inout SendingTerms) -> Void = {
                $0.totalDeadline = .seconds(1)
                $0.waiting = 192
            }
            try await Trial.run(change, script: { try await $0.end() }) { trial in
                let results = try await withThrowingTaskGroup(of: Result<Reply, SendError>.self) { group in
                    for _ in 0..<200 { group.addTask { try await trial.send() } }
                    var results: [Result<Reply, SendError>] = []
                    for try await result in group { results.append(result) }
                    return results
                }
                let errors = results.compactMap { result in
                    if case .failure(let error) = result { error } else { nil }
                }
                // Some begin in the moment in which those before them are given up.
                let (timedOut, notBegun) = (
                    errors.count { $0.code == .timedOut }, errors.count { $0.code == .notBegun }
                )
                #expect(errors.count == 200 && timedOut + notBegun == 200 && timedOut >= 8 && notBegun > 0)
                #expect(trial.courier.underWay == 0 && trial.courier.waiting == 0)
            }
        }
    }

    @Test("An idle connection makes room for a new one where there may be no more")
    func room() async throws {
        try await onLoop {
            let change: (inout SendingTerms) -> Void = {
                ($0.connections, $0.connectionsPerHost) = (2, 2)
                $0.totalDeadline = .seconds(60)
            }
            try await Trial.run(change, script: Self.answering(okay)) { trial in
                let others = try (0..<4).map { _ in try FakeUpstream(Self.answering(okay)) }
                for _ in 0..<3 {
                    for other in others {
                        let destination = try trial.egressGuard.destination("http://127.0.0.1:\(other.port)/")
                        let reply = try await trial.courier.send(
                            Array("hello".utf8), to: destination, fields: Fields(), deadline: .seconds(30))
                        #expect(reply.status == 200)
                    }
                }
                // Of four in turn at least two are connected to anew each time.
                #expect(others.reduce(0) { $0 + $1.accepted } >= 8)
                try await eventually { others.reduce(0) { $0 + $1.open } <= 2 }
                for other in others { await other.stop() }
            }
        }
    }

    @Test("One receiver that hangs keeps nobody from the others")
    func hanging() async throws {
        try await onLoop {
            let change: (inout SendingTerms) -> Void = { $0.totalDeadline = .seconds(60) }
            try await Trial.run(change, script: { try await $0.end() }) { trial in
                let hanging = Task {
                    await withDiscardingTaskGroup { group in
                        for _ in 0..<200 { group.addTask { _ = try? await trial.send() } }
                    }
                }
                try await eventually { trial.receiver.open == 8 }
                let other = try FakeUpstream(Self.answering(okay))
                let destination = try trial.egressGuard.destination("http://127.0.0.1:\(other.port)/")
                for _ in 0..<50 {
                    let reply = try await trial.courier.send(Array("hello".utf8), to: destination, fields: Fields())
                    #expect(reply.status == 200)
                }
                hanging.cancel()
                await hanging.value
                await other.stop()
            }
        }
    }

    @Test("20,000 requests leave nothing behind")
    func memory() async throws {
        try await onLoop {
            let script: FakeUpstream.Script = { connection in
                // Without noting the requests: that would be memory, too.
                while try await connection.stream.fill() {
                    let isWhole = connection.stream.withReadable { span in
                        span.withUnsafeBufferPointer { $0.suffix(5).elementsEqual("hello".utf8) }
                    }
                    guard isWhole else { continue }
                    connection.stream.consume(connection.stream.readableCount)
                    try await connection.send(okay)
                }
            }
            try await Trial.run(script: script) { trial in
                func send(_ count: Int) async throws {
                    for _ in 0..<count / 8 {
                        try await withThrowingDiscardingTaskGroup { group in
                            for _ in 0..<8 {
                                group.addTask { _ = try await trial.send(fields: [("webhook-id", "msg_1")]).get() }
                            }
                        }
                    }
                }
                try await send(2000)
                let before = try residentByteCount()
                try await send(20_000)
                let growth = try residentByteCount() - before
                // Two hundred bytes for each would be more.
                #expect(growth < 4 << 20, "\(growth) bytes")
            }
        }
    }
}

/// The memory that this process has, in bytes (proc(5), statm).
private func residentByteCount() throws -> Int {
    let file = try #require(fopen("/proc/self/statm", "r"))
    defer { fclose(file) }
    var text = [UInt8](repeating: 0, count: 128)
    let count = fread(&text, 1, text.count, file)
    let pages = String(decoding: text[..<count], as: UTF8.self).split(separator: " ")[1]
    return try #require(Int(pages)) * sysconf(Int32(_SC_PAGESIZE))
}
