internal import Egress

/// Which requests are on their way at once, and which wait for their turn. It has no clock, and sends nothing.
///
/// Those to one host go in the order in which they came, and hosts take turns. Each host has its bound, and beyond that takes
/// no more than it leaves free: so however many hosts hang, and keep what they have until its deadline, there is something
/// left for the others (dynamic thresholds, Choudhury and Hahne 1998, doi 10.1109/90.664262).
///
/// libcurl's own queue does not do: it wakes one waiting transfer when another ends, and where that one's host is still busy
/// nobody goes (7.88). The time in it also counts as time to connect.
struct SendingQueue {
    /// Where requests go: what connections are used again for.
    struct Host: Hashable {
        let name: String
        let port: UInt16
    }

    /// A request's place, from its coming to its end.
    struct Ticket: Hashable {
        fileprivate let number: UInt64
        fileprivate let host: Host
    }

    private enum Stage {
        /// → `connecting`.
        case waiting
        /// It is on its way, on a connection that may not stand yet. → `connected`.
        case connecting
        /// It is on its way, on a connection that stands.
        case connected
    }

    private struct Traffic {
        /// In the order in which they came.
        var waiting: [Ticket] = []
        var underWay = 0
        var connecting = 0
        /// How many may be on their way, as far as is known of the host. The first goes alone: whoever comes while it is being
        /// connected can share its connection if that takes several, and a host that is not there holds up no more than one.
        var bound = 1
    }

    private let terms: SendingTerms
    private var stages: [Ticket: Stage] = [:]
    private var hosts: [Host: Traffic] = [:]
    /// The hosts for which somebody waits, in the order of their turns.
    private var line: [Host] = []
    private var nextNumber: UInt64 = 0

    /// How many requests are on their way.
    private(set) var underWay = 0
    /// How many wait.
    var waiting: Int { stages.count - underWay }

    init(_ terms: SendingTerms) { self.terms = terms }

    /// Lets a request wait for its turn, which may come at once; nil where too many wait.
    mutating func enter(_ host: Host) -> Ticket? {
        guard waiting < terms.waiting else { return nil }
        let ticket = Ticket(number: nextNumber, host: host)
        nextNumber += 1
        stages[ticket] = .waiting
        hosts[host, default: Traffic()].waiting.append(ticket)
        if hosts[host]!.waiting.count == 1 { line.append(host) }
        return ticket
    }

    /// The next whose turn has come, and which is on its way from now on. To be asked for until there is none, whenever
    /// something has changed.
    mutating func next() -> Ticket? {
        let free = terms.connections - underWay
        guard let index = line.firstIndex(where: { mayBegin(hosts[$0]!, free: free) }) else { return nil }
        let host = line.remove(at: index)
        let ticket = hosts[host]!.waiting.removeFirst()
        if !hosts[host]!.waiting.isEmpty { line.append(host) }
        hosts[host]!.underWay += 1
        hosts[host]!.connecting += 1
        underWay += 1
        stages[ticket] = .connecting
        return ticket
    }

    private func mayBegin(_ traffic: Traffic, free: Int) -> Bool {
        // Where a connection that many shared has broken, they do not all make one of their own.
        traffic.underWay < traffic.bound && traffic.connecting < terms.connectionsPerHost && traffic.underWay < free
    }

    /// Takes note of a request's having a connection that stands.
    ///
    /// - Parameter isShared: whether it takes several requests at once.
    mutating func connected(_ ticket: Ticket, isShared: Bool) {
        guard stages[ticket] == .connecting else { return }
        stages[ticket] = .connected
        hosts[ticket.host]!.connecting -= 1
        hosts[ticket.host]!.bound = isShared ? terms.requestsPerHost : terms.connectionsPerHost
    }

    /// Forgets a request, whether it is on its way or has given up waiting.
    mutating func leave(_ ticket: Ticket) {
        guard let stage = stages.removeValue(forKey: ticket) else { return }
        let host = ticket.host
        switch stage {
        case .waiting:
            hosts[host]!.waiting.removeAll { $0 == ticket }
            if hosts[host]!.waiting.isEmpty { line.removeAll { $0 == host } }
        case .connecting, .connected:
            underWay -= 1
            hosts[host]!.underWay -= 1
            if stage == .connecting { hosts[host]!.connecting -= 1 }
        }
        // What was known of it is found out again by the next one, at once where there is a connection still.
        if hosts[host]!.underWay == 0, hosts[host]!.waiting.isEmpty { hosts[host] = nil }
    }
}
