// Asks one shared table as fast as it can, and writes one byte for each request let through:
// ratelimit-hammer TABLE CAPACITY KEYS BURST INTERVAL-NANOSECONDS MILLISECONDS [BURST-OF-ALL]
// Or takes all it can get of what one address may hold, and writes one byte for each; then it waits to be killed:
// ratelimit-hammer hold COUNTS ADDRESS BOUND MILLISECONDS

import Glibc
import Loop
import RateLimit

if CommandLine.arguments[1] == "hold" {
    let counts = try AddressCounts(path: CommandLine.arguments[2])
    let address = AddressBlock(CommandLine.arguments[3])!
    let bound = Int(CommandLine.arguments[4])!
    let end = ContinuousClock.now + .milliseconds(Int(CommandLine.arguments[5])!)
    while ContinuousClock.now < end {
        if counts.hold(1, of: .connections, by: address, upTo: bound) { write(1, "1", 1) }
    }
    write(1, ".", 1)
    while true { pause() }
}

let arguments = CommandLine.arguments.dropFirst(2).compactMap(Int.init)
let (capacity, keys, burst, interval, milliseconds) =
    (arguments[0], arguments[1], arguments[2], arguments[3], arguments[4])
let table = try SharedTable(path: CommandLine.arguments[1], capacity: capacity)
let quota = Quota(burst: burst, requests: 1, per: .nanoseconds(interval))!
let limit = LimitClass(name: "hammer", quota: quota, partition: .principal)!
let all = arguments.dropFirst(5).first.map { burst in
    let quota = Quota(burst: burst, requests: 1, per: .nanoseconds(interval))!
    return LimitClass(name: "all", quota: quota, partition: [])!.charge(for: Subject())!
}
let charges = (0..<keys).map { key in
    [limit.charge(for: Subject(principal: String(key)))!] + (all.map { [$0] } ?? [])
}

let clock = ContinuousClock()
let end = clock.now + .milliseconds(milliseconds)
var checks = 0
var fastest = Duration.seconds(1)
// The system's generator would cost more than a check.
var random = UInt64.random(in: 0 ... .max)
while clock.now < end {
    let begin = clock.now
    for _ in 0..<1000 {
        random = random &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        let key = Int(random >> 33) % keys
        if table.check(charges[key]).isAllowed {
            var byte = UInt8(truncatingIfNeeded: key)
            write(1, &byte, 1)
        }
    }
    checks += 1000
    fastest = min(fastest, (clock.now - begin) / 1000)
}
let report = Array("\(checks) checks, fastest \(fastest) each, \(table.evictions) evictions\n".utf8)
write(2, report, report.count)
exit(table.evictions > 0 ? 3 : 0)
