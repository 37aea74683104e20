import Egress
import TestSupport
import Testing

@testable import Fetch

@Suite("The order of sending")
struct SendingQueueTests {
    private typealias Host = SendingQueue.Host
    private typealias Ticket = SendingQueue.Ticket

    private static let (one, other) = (Host(name: "one.example", port: 443), Host(name: "other.example", port: 443))

    private func terms(perHost: Int = 2, shared: Int = 4, total: Int = 100, waiting: Int = 1000) -> SendingTerms {
        var terms = SendingTerms()
        (terms.connectionsPerHost, terms.requestsPerHost) = (perHost, shared)
        (terms.connections, terms.waiting) = (total, waiting)
        return terms
    }

    /// A queue that is told of everything in its turn.
    private final class Sending {
        private var queue: SendingQueue

        init(_ terms: SendingTerms) { queue = SendingQueue(terms) }

        var underWay: Int { queue.underWay }
        var waiting: Int { queue.waiting }

        func enter(_ host: Host) -> Ticket? { queue.enter(host) }
        func connected(_ ticket: Ticket, isShared: Bool) { queue.connected(ticket, isShared: isShared) }
        func leave(_ ticket: Ticket) { queue.leave(ticket) }

        /// Lets as many begin as may.
        func begin() -> [Ticket] {
            var begun: [Ticket] = []
            while let ticket = queue.next() { begun.append(ticket) }
            return begun
        }
    }

    @Test(
        "The first to a host goes alone, and then as many as its connections take", arguments: [(false, 2), (true, 4)])
    func first(isShared: Bool, bound: Int) throws {
        let queue = Sending(terms())
        let tickets = try (0..<10).map { _ in try #require(queue.enter(Self.one)) }
        #expect(queue.begin() == [tickets[0]])
        queue.connected(tickets[0], isShared: isShared)
        // Two are connected at once: where the connection has gone meanwhile, more would each make one.
        #expect(queue.begin() == Array(tickets[1...2].prefix(bound - 1)))
        for ticket in tickets[1...2] { queue.connected(ticket, isShared: isShared) }
        #expect(queue.begin().count == (isShared ? 1 : 0))
        #expect(queue.underWay == bound && queue.waiting == 10 - bound)
        queue.leave(tickets[0])
        #expect(queue.begin() == [tickets[bound]])
    }

    @Test("A host to which no connection comes about holds up one at a time")
    func unconnected() throws {
        let queue = Sending(terms())
        let tickets = try (0..<5).map { _ in try #require(queue.enter(Self.one)) }
        for ticket in tickets {
            #expect(queue.begin() == [ticket])
            queue.leave(ticket)
        }
        #expect(queue.underWay == 0 && queue.waiting == 0)
    }

    @Test("Hosts take turns, however many wait for one of them")
    func turns() throws {
        let queue = Sending(terms(perHost: 10, total: 1))
        var tickets = try (0..<5).map { _ in try #require(queue.enter(Self.one)) }
        tickets.insert(try #require(queue.enter(Self.other)), at: 1)
        tickets.insert(try #require(queue.enter(Self.other)), at: 3)
        for ticket in tickets {
            #expect(queue.begin() == [ticket])
            queue.leave(ticket)
        }
    }

    @Test("Hosts that keep what they have leave something to others")
    func shares() throws {
        let queue = Sending(terms(perHost: 100, total: 100))
        for number in 0..<20 {
            let host = Host(name: "hanging-\(number).example", port: 443)
            for _ in 0..<50 { _ = try #require(queue.enter(host)) }
        }
        // They answer the handshake and nothing else.
        while true {
            let begun = queue.begin()
            guard !begun.isEmpty else { break }
            for ticket in begun { queue.connected(ticket, isShared: false) }
        }
        #expect((80..<100).contains(queue.underWay))
        for _ in 0..<100 {
            let ticket = try #require(queue.enter(Self.one))
            #expect(queue.begin() == [ticket])
            queue.leave(ticket)
        }
    }

    @Test("No more wait than may, and who gives up waiting makes room")
    func bound() throws {
        let queue = Sending(terms(waiting: 3))
        let first = try #require(queue.enter(Self.one))
        #expect(queue.begin() == [first])
        let waiting = try (0..<3).map { _ in try #require(queue.enter(Self.one)) }
        #expect(queue.enter(Self.one) == nil && queue.enter(Self.other) == nil)
        queue.leave(waiting[0])
        queue.leave(waiting[0])
        #expect(queue.waiting == 2)
        _ = try #require(queue.enter(Self.other))
        queue.leave(first)
        #expect(queue.begin().contains(waiting[1]))
    }

    @Test("Whatever happens in whatever order, bounds hold, nobody waits in vain, and nothing is left in the end")
    func anything() throws {
        for seed in 1...200 as ClosedRange<UInt64> {
            var numbers = SeededNumbers(seed: seed)
            let terms = terms(
                perHost: .random(in: 1...4, using: &numbers), shared: .random(in: 1...8, using: &numbers),
                total: .random(in: 1...20, using: &numbers), waiting: 30)
            let queue = Sending(terms)
            let hosts = (0..<4).map { Host(name: "\($0).example", port: 443) }
            var waiting: [Host: [Ticket]] = [:]
            var underWay: [(ticket: Ticket, host: Host)] = []
            func update() {
                for ticket in queue.begin() {
                    let host = hosts.first { waiting[$0]?.first == ticket }
                    // Only the first of those to a host begins.
                    guard let host else {
                        Issue.record("out of order")
                        continue
                    }
                    waiting[host]!.removeFirst()
                    underWay.append((ticket, host))
                }
                #expect(underWay.count == queue.underWay && underWay.count <= terms.connections)
                #expect(waiting.values.reduce(0) { $0 + $1.count } == queue.waiting)
                for host in hosts {
                    let count = underWay.count { $0.host == host }
                    #expect(count <= max(terms.connectionsPerHost, terms.requestsPerHost))
                    // Where none is on its way to a host, only want of room keeps the next one.
                    let isHeld = count == 0 && waiting[host]?.isEmpty == false
                    #expect(!isHeld || underWay.count == terms.connections)
                }
            }
            for _ in 0..<300 {
                switch Int.random(in: 0..<5, using: &numbers) {
                case 0...1:
                    let host = hosts.randomElement(using: &numbers)!
                    if let ticket = queue.enter(host) { waiting[host, default: []].append(ticket) }
                case 2:
                    guard let some = underWay.randomElement(using: &numbers) else { continue }
                    queue.connected(some.ticket, isShared: .random(using: &numbers))
                case 3:
                    guard let index = underWay.indices.randomElement(using: &numbers) else { continue }
                    queue.leave(underWay.remove(at: index).ticket)
                default:
                    let host = hosts.randomElement(using: &numbers)!
                    guard let index = waiting[host]?.indices.randomElement(using: &numbers) else { continue }
                    queue.leave(waiting[host]!.remove(at: index))
                }
                update()
            }
            while let some = underWay.popLast() {
                queue.leave(some.ticket)
                update()
            }
            #expect(queue.underWay == 0 && queue.waiting == 0)
        }
    }
}
