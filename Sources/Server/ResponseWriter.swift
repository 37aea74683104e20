public import HTTP
public import Loop

/// Where a handler puts its answer: exactly one, whole or in parts.
@OnLoop
public struct ResponseWriter: ~Copyable {
    private let connection: ServerConnection

    nonisolated init(_ connection: ServerConnection) { self.connection = connection }

    /// Gives a whole answer; it is sent when the handler returns.
    ///
    /// - Parameter fields: without framing, `Date` and `X-Request-Id`, which the server writes.
    public consuming func send(_ status: Status, _ fields: Fields = Fields(), content: [UInt8] = []) {
        connection.send(status, fields, content)
    }

    /// Gives a problem as the whole answer; it is sent when the handler returns.
    public consuming func send(_ problem: Problem) { connection.send(problem) }

    /// Begins an answer that an upstream gave; its content follows.
    public consuming func forward(_ head: ResponseHead) -> ContentWriter {
        ContentWriter(connection, connection.begin(forwarding: head))
    }
}

/// Where a handler puts the content of an answer it has begun.
///
/// An answer that is dropped before `finish` is cut short, and its connection closed.
@OnLoop
public struct ContentWriter: ~Copyable {
    /// Bytes that may wait here before they are sent.
    private static let bound = 64 << 10

    private let connection: ServerConnection
    private let framing: ResponseFraming
    /// What of the output is not content.
    private var headLength: Int

    init(_ connection: ServerConnection, _ framing: ResponseFraming) {
        self.connection = connection
        self.framing = framing
        headLength = connection.output.count
    }

    /// Adds a piece of content, without sending it yet.
    public func append(_ piece: Span<UInt8>) {
        guard !connection.isHeadRequest else { return }
        switch framing {
        case .none: break
        case .length, .untilClose: piece.withUnsafeBufferPointer { connection.output.append(contentsOf: $0) }
        case .chunked: Chunk.append(piece, to: &connection.output)
        }
    }

    /// Whether so much waits that it should be flushed before more is added.
    public var isFull: Bool { connection.output.count >= Self.bound }

    /// Whether content waits, more than the answer's head.
    public var holdsContent: Bool { connection.output.count > headLength }

    /// Sends what was added; returns when the kernel has taken it, so a fast upstream is held to the client's pace.
    public mutating func flush() async throws {
        headLength = 0
        try await connection.flush()
    }

    /// Ends the answer; what was not flushed is sent when the handler returns.
    public consuming func finish(trailers: Fields = Fields()) {
        if framing == .chunked, !connection.isHeadRequest {
            Chunk.appendLast(trailers: trailers, to: &connection.output)
        }
        connection.finishResponse(closes: framing == .untilClose)
    }
}
