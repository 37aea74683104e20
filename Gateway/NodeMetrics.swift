internal import Client
internal import FoundationEssentials
internal import HTTP
internal import Loop
internal import Telemetry

/// The metrics of every Drawbridge process on this machine in one answer, so that one address is enough to watch a
/// node.
///
/// Whichever worker is asked collects them from the processes' private sockets; each series carries its process's name.
@OnLoop
final class NodeMetrics {
    /// How long connecting to one process may take, and its answer; one that does not answer is left out.
    private static let patience = Duration.seconds(1)
    /// Bytes of one process's text; one that has more to say is left out.
    private static let maximumText = 4 * 1024 * 1024

    private let directory: String
    private struct NoMetrics: Error {}

    private let own: String
    private var isCollecting = false
    private var askers: [Asker] = []

    /// Somebody who asked while a collection was under way and shares what it finds.
    @OnLoop
    private final class Asker {
        let signal = Signal()
        var text: [UInt8]?
    }

    /// - Parameters:
    ///   - directory: where the processes' sockets are.
    ///   - own: this process's name.
    init(directory: String, own: String) {
        self.directory = directory
        self.own = own
    }

    /// All processes' metrics. One collection is under way at a time, however many ask.
    func render() async -> [UInt8] {
        while isCollecting {
            let asker = Asker()
            askers.append(asker)
            // Only its own cancellation ends the wait without a text; then nobody waits for the answer either.
            do { try await asker.signal.wait() } catch { return [] }
            if let text = asker.text { return text }
        }
        isCollecting = true
        let text = await collect()
        isCollecting = false
        // A collection that was cancelled is not whole; one of the others makes it again.
        for asker in askers {
            asker.text = Task.isCancelled ? nil : text
            asker.signal.fire()
        }
        askers = []
        return text
    }

    private func collect() async -> [UInt8] {
        let others = await withTaskGroup(of: (String, [UInt8])?.self, returning: [String: [UInt8]].self) { group in
            for socket in sockets {
                // A process that does not answer, or says too much, is left out of this collection.
                group.addTask { try? await (socket, self.fetch(socket)) }
            }
            var texts: [String: [UInt8]] = [:]
            for await case (let socket, let text)? in group { texts[socket] = text }
            return texts
        }
        // The supervisor answers nobody; it writes down what it counts.
        let supervisor =
            FileManager.default.contents(atPath: "\(directory)/drawbridge.prom").map { [[UInt8]($0)] } ?? []
        return Metrics.merge([Metrics.render()] + supervisor + others.sorted { $0.key < $1.key }.map(\.value))
    }

    private var sockets: [String] {
        let suffix = ".admin.sock"
        let names = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
        return names.filter { $0.hasSuffix(suffix) && $0 != own + suffix }.map { "\(directory)/\($0)" }
    }

    /// Asks one process, on a connection outside of any pool: a pool counts, and its counts would be collected too.
    private func fetch(_ socket: String) async throws -> [UInt8] {
        var request: [UInt8] = []
        let target = RequestTarget("/metrics", authority: "localhost")!
        RequestHead(method: .get, target: target, keepAlive: false).append(to: &request)
        return try await Exchange.single(
            request, method: .get, to: .unix(path: socket), limits: MessageLimits(body: UInt64(Self.maximumText)),
            timeout: Self.patience
        ) { exchange in
            guard exchange.head.status == .ok else { throw NoMetrics() }
            var text: [UInt8] = []
            while true {
                switch try exchange.next({ $0.withUnsafeBufferPointer { text.append(contentsOf: $0) } }) {
                case .content:
                    // Content that only the end of the connection delimits has no length to be refused by.
                    guard text.count <= Self.maximumText else { throw NoMetrics() }
                case .incomplete: try await exchange.fill()
                case .trailers: break
                case .end: return text
                }
            }
        }
    }
}
