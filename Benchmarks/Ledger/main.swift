// Prints what records cost: writing them down, and sending them to the ledger's process, which `Benchmarks/figures/
// ledger.bash` starts beside this.
//
// usage: bench-ledger encode
//        bench-ledger SOCKET SECONDS written|synced WINDOW

internal import Audit
internal import Glibc
internal import HTTP
internal import Ledger
internal import Loop
internal import Server
internal import Telemetry

/// A decision as an availability query leads to it.
func decision(_ number: Int) -> DecisionRecord {
    let digits = String(number)
    let id = RequestID((String(repeating: "0", count: 32 - digits.count) + digits).utf8.span)!
    let facts = RequestFacts(
        id: id, method: .get, path: Array("/api/booking-engine/availability/17".utf8)[...],
        trace: TraceContext(traceID: 1, spanID: 1), address: "203.0.113.7",
        tlsVersion: "1.3")
    facts.route = "getAvailability"
    facts.hotel = 17
    facts.principal = RequestFacts.Principal(
        issuer: "https://issuer.example", subject: "booking-engine", client: "booking-engine", method: "jwt")
    return DecisionRecord(facts, .allowed, time: 1_800_000_000_123, microseconds: 57)
}

func outcome(_ number: Int) -> OutcomeRecord {
    var record = OutcomeRecord(decision(number).facts, time: 1_800_000_000_125, microseconds: 1234, status: 200)
    record.upstreamStatus = 200
    record.upstreamMicroseconds = 1100
    record.contentLength = 877
    return record
}

/// The best of several runs, in nanoseconds a call.
func nanoseconds(perCallOf body: (Int) -> Int) -> Double {
    let calls = 200_000
    var best = Duration.seconds(60)
    var sink = 0
    for _ in 0..<5 {
        let time = ContinuousClock().measure { for call in 0..<calls { sink &+= body(call) } }
        best = min(best, time)
    }
    precondition(sink != .min)
    return best / .nanoseconds(1) / Double(calls)
}

func encode() throws {
    var hash = try KeyedHash.make(key: [UInt8](repeating: 1, count: 32).span)
    var bytes: [UInt8] = []
    let worker = Array("gateway-0".utf8)
    let (decision, outcome) = (decision(1), outcome(1))
    func run(_ record: some AuditRecord) -> Int {
        bytes.removeAll(keepingCapacity: true)
        record.append(worker: worker, &hash, to: &bytes)
        return bytes.count
    }
    print("decision: \(Int(nanoseconds { _ in run(decision) })) ns, \(run(decision)) bytes")
    print("outcome: \(Int(nanoseconds { _ in run(outcome) })) ns, \(run(outcome)) bytes")
}

/// Keeps `window` records on their way, and measures how long each takes to be acknowledged.
@OnLoop
final class Load {
    private let stream: Stream
    private let durability: Durability
    private let window: UInt64
    private var next: UInt64 = 1
    private var acknowledged: UInt64 = 0
    private var sentAt: [UInt64] = []
    private var latencies: [UInt64] = []
    private let object: [UInt8]

    init(_ path: String, _ durability: Durability, window: Int) async throws {
        stream = try await Stream.connect(to: .unix(path: path), timeout: .seconds(5))
        self.durability = durability
        self.window = UInt64(window)
        var hash = try KeyedHash.make(key: [UInt8](repeating: 1, count: 32).span)
        var object: [UInt8] = []
        decision(1).append(worker: Array("gateway-0".utf8), &hash, to: &object)
        self.object = object
        var greeting: [UInt8] = []
        RecordFrame.appendGreeting(name: "bench", to: &greeting)
        try await stream.write(greeting)
    }

    func run(seconds: Int) async throws {
        let start = Loop.monotonicNanoseconds
        let end = start + UInt64(seconds) * 1_000_000_000
        while Loop.monotonicNanoseconds < end {
            try await send()
            guard try await stream.fill() else { throw LoopError(.closed, "read") }
            try take()
        }
        let elapsed = Double(Loop.monotonicNanoseconds - start) / 1e9
        latencies.sort()
        let rate = Int(Double(acknowledged) / elapsed)
        print("\(rate) records/s", terminator: "")
        print(" · p50 \(milliseconds(0.5)) ms · p99 \(milliseconds(0.99)) ms · \(acknowledged) records")
    }

    private func send() async throws {
        var bytes: [UInt8] = []
        let now = Loop.monotonicNanoseconds
        while next - acknowledged <= window {
            RecordFrame.appendRecord(ticket: next, durability, to: &bytes) { $0 += object }
            sentAt.append(now)
            next += 1
        }
        if !bytes.isEmpty { try await stream.write(bytes) }
    }

    private func take() throws {
        let now = Loop.monotonicNanoseconds
        while true {
            let (reply, consumed) = try stream.withReadable { (input) throws(FrameError) in try ReplyFrame.next(input) }
            stream.consume(consumed)
            guard let reply else { return }
            guard case .acknowledged(_, let through) = reply else { throw LoopError(.closed, "refused") }
            for ticket in acknowledged..<through { latencies.append(now - sentAt[Int(ticket)]) }
            acknowledged = through
        }
    }

    private func milliseconds(_ quantile: Double) -> Double {
        guard !latencies.isEmpty else { return 0 }
        let value = latencies[min(latencies.count - 1, Int(Double(latencies.count) * quantile))]
        return (Double(value) / 1e4).rounded() / 100
    }
}

let arguments = CommandLine.arguments
if arguments.count == 2, arguments[1] == "encode" {
    try encode()
} else if arguments.count == 5, let seconds = Int(arguments[2]), let window = Int(arguments[4]) {
    let durability = arguments[3] == "synced" ? Durability.synced : .written
    try Loop.run { try await Load(arguments[1], durability, window: window).run(seconds: seconds) }
} else {
    print("usage: bench-ledger encode | SOCKET SECONDS written|synced WINDOW")
    exit(64)
}
