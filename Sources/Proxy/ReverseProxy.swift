public import Client
public import HTTP
public import Loop
public import Server

/// Forwards requests to one upstream and its answers to the clients (RFC 9110 §7.6).
///
/// Both are written anew: nothing of either connection's framing or hop-by-hop fields passes to the other.
@OnLoop
public final class ReverseProxy {
    /// The upstream does not take this request from us (421 Misdirected Request, RFC 9110 §15.5.20): something between
    /// the two is set up wrongly. That is not the client's affair, so the answer does not reach it.
    public struct Misdirected: Error {}

    private let upstream: Upstream
    private var spareRequests = SpareArrays()

    public init(upstream: Upstream) { self.upstream = upstream }

    /// Sends one request to the upstream, and waits for the head of its answer.
    ///
    /// - Parameters:
    ///   - content: the request's whole content.
    ///   - dropped: the client's fields that the upstream has no use for, or that `lines` has.
    ///   - timeout: until the answer is complete; nil for the upstream's own.
    ///   - moreLines: the most bytes that `lines` appends.
    ///   - lines: appends field lines of our own, each with its line end.
    /// - Returns: the exchange, to be relayed, and ended whether that succeeds or not.
    /// - Throws: `UpstreamError`, `Misdirected`.
    @inline(__always)
    public func send(
        _ request: Request, content: [UInt8], dropping dropped: FieldNameSet = FieldNameSet(), timeout: Duration? = nil,
        moreLines: Int = 0, lines: (inout OutputSpan<UInt8>) -> Void = { _ in }
    ) async throws -> Exchange {
        let bytes = write(request, content, dropped, moreLines, lines)
        let exchange = try await upstream.send(bytes, method: request.head.method, timeout: timeout)
        spareRequests.giveBack(bytes)
        guard exchange.head.status != .misdirectedRequest else {
            exchange.end()
            throw Misdirected()
        }
        return exchange
    }

    /// Gives the upstream's answer to the client, whose connection is cut when that fails.
    ///
    /// - Returns: the bytes of the answer's content.
    /// - Throws: `UpstreamError`.
    @inline(__always)
    public func relay(_ exchange: Exchange, _ writer: consuming ResponseWriter) async throws -> Int {
        var contentLength = 0
        var answer = writer.forward(exchange.head)
        var trailers = Fields()
        while true {
            let part = try exchange.next {
                contentLength += $0.count
                answer.append($0)
            }
            switch part {
            case .content:
                if answer.isFull { try await flush(&answer, of: exchange) }
            case .incomplete:
                // What is here goes out before more is waited for: the upstream may take its time.
                if answer.holdsContent { try await flush(&answer, of: exchange) }
                try await exchange.fill()
            case .trailers(let fields):
                trailers = fields
            case .end:
                answer.finish(trailers: trailers)
                return contentLength
            }
        }
    }

    /// Sends what is here, however long the client takes to take it: only its own bounds hold for that.
    private func flush(_ answer: inout ContentWriter, of exchange: Exchange) async throws {
        exchange.pause()
        try await answer.flush()
        exchange.goOn()
    }

    /// The request as it goes to the upstream.
    @inline(__always)
    private func write(
        _ request: Request, _ content: [UInt8], _ dropped: FieldNameSet, _ moreLines: Int,
        _ lines: (inout OutputSpan<UInt8>) -> Void
    ) -> [UInt8] {
        var bytes = spareRequests.take()
        // The content is here as a whole, so its length is told, however the client framed it.
        let framing: BodyFraming = request.head.framing == .none ? .none : .length(UInt64(content.count))
        Forwarding.appendRequest(
            request.head, framing: framing, context: request.connection.forwarding, dropping: dropped, to: &bytes,
            moreLines: moreLines, lines: lines)
        bytes += content
        return bytes
    }
}
