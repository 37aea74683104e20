internal import Client
internal import Glibc
internal import HTTP
internal import Lifecycle
internal import Loop
internal import Policy
internal import Telemetry

/// Gives checkpoints away, so that whoever rewrites the ledger with its key at hand contradicts what somebody else
/// holds.
///
/// The ledger never waits for it: what cannot be given away now is tried again, and a newer checkpoint covers all
/// before.
@OnLoop
final class Witness {
    /// Checkpoints that wait for the file; the oldest go first.
    private static let noteBound = 1024
    private static let timeout = Duration.seconds(5)

    private struct Refused: Error {
        let status: UInt16
    }

    private let path: String?
    private let url: LedgerPolicy.WitnessURL?
    private var waiting: [String] = []
    private var newest: String?
    private let fileWork = Signal()
    private let urlWork = Signal()
    private let counters: [String: (sent: Counter, failed: Counter)]

    init(_ policy: LedgerPolicy) {
        path = policy.witnessFile
        url = policy.witnessURL
        var counters: [String: (sent: Counter, failed: Counter)] = [:]
        for (kind, isWanted) in [("file", path != nil), ("url", url != nil)] where isWanted {
            counters[kind] = (
                Metrics.counter(
                    "drawbridge_ledger_witnessed_total", "Checkpoints given to a witness.", [("witness", kind)]),
                Metrics.counter(
                    "drawbridge_ledger_witness_failures_total", "Attempts to give one that failed.",
                    [("witness", kind)])
            )
        }
        self.counters = counters
    }

    /// A checkpoint was signed.
    func offer(_ note: String) {
        if path != nil {
            if waiting.count == Self.noteBound { waiting.removeFirst() }
            waiting.append(note)
            fileWork.fire()
        }
        if url != nil {
            newest = note
            urlWork.fire()
        }
    }

    /// Gives checkpoints away until the task is cancelled, then tries once more what is left for the file.
    func run() async {
        await withDiscardingTaskGroup { group in
            if let path { group.addTask { await self.fill(path) } }
            if let url { group.addTask { await self.post(to: url) } }
        }
    }

    private func fill(_ path: String) async {
        await repeatedly("file", fileWork) { [self] in
            while let note = waiting.first {
                try await Loop.offload { try Self.append(Array("\(note)\n".utf8), to: path) }
                counters["file"]?.sent.increment()
                if waiting.first == note { waiting.removeFirst() }
            }
        }
        for note in waiting { try? Self.append(Array("\(note)\n".utf8), to: path) }
    }

    private func post(to url: LedgerPolicy.WitnessURL) async {
        let endpoint = Endpoint.tcp(address: url.address.host, port: UInt16(url.address.port))
        guard let target = RequestTarget(url.path, authority: url.address.description) else { return }
        await repeatedly("url", urlWork) { [self] in
            while let note = newest {
                let content = Array(note.utf8)
                var fields = Fields()
                fields.append(.contentType, "text/plain; charset=utf-8")
                var request: [UInt8] = []
                RequestHead(
                    method: .post, target: target, fields: fields, framing: .length(UInt64(content.count)),
                    keepAlive: false
                ).append(to: &request)
                request += content
                try await Exchange.single(request, method: .post, to: endpoint, timeout: Self.timeout) { exchange in
                    let status = exchange.head.status.rawValue
                    guard (200..<300).contains(status) else { throw Refused(status: status) }
                }
                counters["url"]?.sent.increment()
                if newest == note { newest = nil }
            }
        }
    }

    /// Does `work` whenever the signal fires, and again after a while when it fails.
    private func repeatedly(_ kind: String, _ signal: Signal, _ work: @OnLoop () async throws -> Void) async {
        var backoff = Backoff(initial: .seconds(1), maximum: .seconds(60), stablePeriod: .seconds(120))
        while !Task.isCancelled {
            do {
                try await signal.wait()
                try await work()
                backoff = Backoff(initial: .seconds(1), maximum: .seconds(60), stablePeriod: .seconds(120))
            } catch {
                if Task.isCancelled { return }
                counters[kind]?.failed.increment()
                Log.warning(
                    "checkpoint not given to the witness", ["witness": .init(kind), "error": .init(error: error)])
                try? await Loop.sleep(for: backoff.delay(afterRunningFor: .zero, chance: .random(in: 0..<1)))
                signal.fire()
            }
        }
    }

    private struct FileFailure: Error, CustomStringConvertible {
        let description: String
    }

    private nonisolated static func append(_ bytes: [UInt8], to path: String) throws {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw failure(path) }
        defer { close(descriptor) }
        guard write(descriptor, bytes, bytes.count) == bytes.count, fsync(descriptor) == 0 else { throw failure(path) }
    }

    private nonisolated static func failure(_ path: String) -> FileFailure {
        FileFailure(description: "\(path): \(String(cString: strerror(errno)))")
    }
}
