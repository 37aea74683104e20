internal import Client
internal import FoundationEssentials
internal import HTTP
internal import Loop
internal import Telemetry

/// The metrics of every Drawbridge process on this machine in one answer, so that one address is enough to watch a node.
///
/// Whichever worker is asked collects them from the processes' private sockets; each series carries its process's name.
@OnLoop
final class NodeMetrics {
    /// How long one process may take; one that does not answer is left out.
    private static let patience = Duration.seconds(1)

    private let directory: String
    private let own: String

    init(home: String, own: String) {
        directory = "\(home)/run"
        self.own = own
    }

    func render() async -> [UInt8] {
        var texts = [Metrics.render()]
        for socket in sockets {
            if let text = try? await fetch(socket) { texts.append(text) }
        }
        return Metrics.merge(texts)
    }

    private var sockets: [String] {
        let suffix = ".admin.sock"
        let names = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
        return names.filter { $0.hasSuffix(suffix) && $0 != own + suffix }.sorted().map { "\(directory)/\($0)" }
    }

    private func fetch(_ socket: String) async throws -> [UInt8] {
        var configuration = Upstream.Configuration()
        configuration.maximumConnections = 1
        let upstream = Upstream(name: "admin", endpoint: .unix(path: socket), configuration: configuration)
        var request: [UInt8] = []
        let target = RequestTarget("/metrics", authority: "localhost")!
        RequestHead(method: .get, target: target, keepAlive: false).append(to: &request)
        let exchange = try await upstream.send(request, method: .get, timeout: Self.patience)
        defer { exchange.end() }
        var text: [UInt8] = []
        while true {
            switch try exchange.next({ content in content.withUnsafeBufferPointer { text.append(contentsOf: $0) } }) {
            case .end: return text
            case .incomplete: try await exchange.fill()
            default: break
            }
        }
    }
}
