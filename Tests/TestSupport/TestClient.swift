package import HTTP
package import Loop

/// One answer as it came.
package struct Answer {
    package var interim: [Status] = []
    package var head = ResponseHead(status: .ok)
    package var content: [UInt8] = []
    package var trailers = Fields()

    package init() {}

    package var status: Status { head.status }
    package var text: String { String(decoding: content, as: UTF8.self) }
}

/// A client that sends whatever bytes a test wants and reads answers strictly.
@OnLoop
package final class TestClient {
    package let stream: Stream
    private var parser = ResponseParser()

    package init(_ stream: Stream) { self.stream = stream }

    package func send(_ text: String) async throws { try await stream.write(Array(text.utf8)) }

    /// Reads one answer.
    package func receive(to method: HTTP.Method = .get) async throws -> Answer {
        parser.expect(responseTo: method)
        var answer = Answer()
        while true {
            let step = try stream.withReadable { input in
                let step = try parser.next(input)
                if case .body(let range) = step.event {
                    input.extracting(range).withUnsafeBufferPointer { answer.content.append(contentsOf: $0) }
                }
                return step
            }
            stream.consume(step.consumed)
            switch step.event {
            case .interim: answer.interim.append(parser.takeHead().status)
            case .head: answer.head = parser.takeHead()
            case .trailers: answer.trailers = parser.takeTrailers()
            case .body: break
            case .end: return answer
            case nil:
                if try await stream.fill() { continue }
                _ = try parser.endOfInput()
                return answer
            }
        }
    }

    package func exchange(_ text: String, _ method: HTTP.Method = .get) async throws -> Answer {
        try await send(text)
        return try await receive(to: method)
    }

    /// Whether the server ends the connection, and has nothing more to say before.
    package func isClosedByServer() async -> Bool {
        let more = try? await stream.fill()
        return more != true && stream.readableCount == 0
    }

    package func close() { stream.close() }
}
