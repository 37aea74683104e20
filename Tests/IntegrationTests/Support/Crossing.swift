import Glibc
import HTTP
import JSONText
import Loop
import Testing

/// Stands where the gateways look for the bridge, notes every request that they forward, and hands it on. So a test
/// knows what has left a gateway, whatever became of it afterwards, and can look for it in the ledger.
@OnLoop
final class Crossing {
    /// A client's request on its way to the bridge.
    struct Passage: Sendable {
        let id: String
        let method: String
        /// Whether a decision about it stood in the ledger's files when it came by.
        let wasDecided: Bool
        /// Which booking it asks for.
        var engineID: String?

        var changesSomething: Bool { method != "GET" && method != "HEAD" }
    }

    /// In the order in which they came by.
    private(set) var passages: [Passage] = []

    private let listener: Listener
    private let bridge: Endpoint
    private let records: String
    private var task: Task<Void, Never>?

    /// - Parameters:
    ///   - path: the socket at which it takes the bridge's place.
    ///   - bridge: the bridge's own socket, which may come and go.
    ///   - records: the directory of the ledger's files.
    init(_ path: String, to bridge: String, records: String) throws {
        listener = try Listener(ListeningSocket(unixPath: path))
        self.bridge = .unix(path: bridge)
        self.records = records
        task = Task { [self] in
            await withDiscardingTaskGroup { group in
                while let gateway = try? await listener.next() { group.addTask { await self.serve(gateway) } }
            }
        }
    }

    /// Lets nobody pass any more, and returns when everything is closed.
    func close() async {
        listener.close()
        task?.cancel()
        await task?.value
    }

    private func serve(_ gateway: Stream) async {
        defer { gateway.close() }
        guard let bridge = try? await Stream.connect(to: bridge, timeout: .seconds(5)) else { return }
        defer { bridge.close() }
        // Where one side ends the other is told, as if there were nobody in between.
        await withTaskGroup(of: Void.self) { group in
            group.addTask { try? await self.handOver(gateway, bridge) }
            group.addTask { try? await self.handBack(bridge, gateway) }
            await group.next()
            group.cancelAll()
        }
    }

    private func handOver(_ gateway: Stream, _ bridge: Stream) async throws {
        var reader = PassageReader()
        while let bytes = try await Self.bytes(of: gateway) {
            try reader.read(bytes, begin: begin) { self.passages[$0].engineID = $1 }
            try await bridge.write(bytes)
        }
    }

    private func handBack(_ bridge: Stream, _ gateway: Stream) async throws {
        while let bytes = try await Self.bytes(of: bridge) { try await gateway.write(bytes) }
    }

    /// What comes next; nil at the end.
    private static func bytes(of stream: Stream) async throws -> [UInt8]? {
        // What came while the rest was being written is there already.
        if stream.readableCount == 0, !(try await stream.fill()) { return nil }
        let bytes = stream.withReadable { $0.withUnsafeBufferPointer { Array($0) } }
        stream.consume(bytes.count)
        return bytes
    }

    /// Notes a request; nil for what a gateway asks for itself.
    private func begin(_ head: RequestHead) -> Int? {
        let path = head.target.path
        guard path != "/healthz", !path.hasPrefix("/drawbridge/") else { return nil }
        let id = head.fields[.xRequestID] ?? ""
        passages.append(Passage(id: id, method: head.method.rawValue, wasDecided: isDecided(id)))
        return passages.count - 1
    }

    /// Whether the files hold a decision about a request; the newest are looked at first.
    private func isDecided(_ id: String) -> Bool {
        let text = #""log_name":"decision","uid":"\#(id)""#
        return Files.names(in: records).filter { $0.hasSuffix(".jsonl") }.sorted().reversed().contains { name in
            // As C does it, fast in a debug build, too; there is no other zero in it.
            let bytes = (Files.read("\(records)/\(name)") ?? []) + [0]
            return bytes.withUnsafeBytes { strstr($0.baseAddress!.assumingMemoryBound(to: CChar.self), text) != nil }
        }
    }
}

/// Follows the requests on one connection.
private struct PassageReader {
    private var parser: RequestParser
    private var unread: [UInt8] = []
    private var content: [UInt8] = []
    private var place: Int?

    init() {
        var limits = MessageLimits()
        // Room for what a gateway adds.
        limits.fieldCount *= 2
        limits.fieldSection *= 2
        parser = RequestParser(limits: limits)
    }

    /// - Parameters:
    ///   - begin: given each head; returns where the request was noted.
    ///   - name: given that place, and what the request's content says that it books.
    @OnLoop
    mutating func read(
        _ bytes: [UInt8], begin: (RequestHead) -> Int?, name: (Int, String?) -> Void
    ) throws {
        unread += bytes
        while true {
            let input = unread
            let step = try parser.next(input.span)
            if case .body(let range) = step.event { content += unread[range] }
            unread.removeFirst(step.consumed)
            switch step.event {
            case .head:
                content = []
                place = begin(parser.takeHead())
            case .trailers: _ = parser.takeTrailers()
            case .end:
                guard let place, !content.isEmpty else { break }
                name(place, try? JSONValue(parsing: content)["booking_engine_id"]?.string)
            case .body: break
            case nil: return
            }
        }
    }
}
