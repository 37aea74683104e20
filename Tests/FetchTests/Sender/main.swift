// Sends to a URL again and again, each time with a courier of its own, which knows no name yet, and prints a line each time:
// egress-test-sender URL AUTHORITIES TIMES [ALLOWED …]

import ChangingNames
import Egress
import Fetch
import HTTP
import Loop

let arguments = CommandLine.arguments
var egressGuard = EgressGuard()
egressGuard.allowed = AllowList(Array(arguments.dropFirst(4)))!
var terms = SendingTerms()
terms.authoritiesFile = arguments[2]
terms.totalDeadline = .seconds(3)

@OnLoop
func send(_ egressGuard: EgressGuard, _ terms: SendingTerms, to url: String) async throws -> String {
    let courier = Courier(egressGuard, terms)
    defer { courier.close() }
    do {
        let reply = try await courier.send([], to: egressGuard.destination(url), fields: Fields())
        return "\(reply.status) from \(reply.address)"
    } catch let error as SendError {
        return "\(error)"
    }
}

let (finalGuard, finalTerms) = (egressGuard, terms)
try Loop.run {
    for _ in 0..<Int(arguments[3])! { print(try await send(finalGuard, finalTerms, to: arguments[1])) }
}
