// Sends to one HTTPS receiver on this machine for a time, and says what that cost:
// bench-courier URL AUTHORITIES SECONDS ON-THEIR-WAY CONNECTIONS http1|http2

import Egress
import Fetch
import Glibc
import HTTP
import Loop

let arguments = CommandLine.arguments
guard arguments.count == 7, let seconds = Double(arguments[3]), let lanes = Int(arguments[4]),
    let connections = Int(arguments[5])
else { fatalError("usage: bench-courier URL AUTHORITIES SECONDS ON-THEIR-WAY CONNECTIONS http1|http2") }

/// Seconds of the processor that this process has used.
func processorTime() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}

@OnLoop
final class Load {
    private let courier: Courier
    private let destination: Destination
    private var fields = Fields()
    private let body = Array(String(repeating: "x", count: 1000).utf8)
    private(set) var sent = 0
    private(set) var failed = 0

    init(_ url: String, _ terms: SendingTerms) throws {
        var egressGuard = EgressGuard()
        egressGuard.allowed = AllowList(["127.0.0.0/8"])!
        courier = Courier(egressGuard, terms)
        destination = try egressGuard.destination(url)
        fields.append("content-type", "application/json")
        fields.append("webhook-id", "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W")
        fields.append("webhook-timestamp", "1674087231")
        fields.append("webhook-signature", "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=")
    }

    func run(_ lanes: Int, for seconds: Double) async {
        let end = Loop.monotonicNanoseconds + UInt64(seconds * 1e9)
        await withDiscardingTaskGroup { group in
            for _ in 0..<lanes {
                group.addTask { await self.lane(until: end) }
            }
        }
    }

    private func lane(until end: UInt64) async {
        while Loop.monotonicNanoseconds < end {
            let reply = try? await courier.send(body, to: destination, fields: fields)
            if let reply, 200...299 ~= reply.status { sent += 1 } else { failed += 1 }
        }
    }

    func close() { courier.close() }
}

try Loop.run {
    var terms = SendingTerms()
    terms.authoritiesFile = arguments[2]
    terms.usesHTTP2 = arguments[6] == "http2"
    terms.connectionsPerHost = connections
    let load = try Load(arguments[1], terms)
    // The connections are made before.
    await load.run(lanes, for: 0.5)
    let (before, used, began) = (load.sent, processorTime(), Loop.monotonicNanoseconds)
    await load.run(lanes, for: seconds)
    let took = Double(Loop.monotonicNanoseconds - began) / 1e9
    let sent = Double(load.sent - before)
    load.close()
    let each = (processorTime() - used) / sent * 1e6
    print("\(Int(sent / took)) requests/s, \(Int(each)) µs each, \(load.failed) failed")
}
