import Ledger
import Testing

@testable import Audit

@Suite("Records on their way")
struct PendingRecordsTests {
    private static func records(_ durabilities: [Durability]) -> PendingRecords<Int> {
        var records = PendingRecords<Int>(recordBound: 1000, byteBound: 1 << 20)
        for (index, durability) in durabilities.enumerated() {
            records.add(durability, tag: index + 1, time: UInt64(index) * 10) {
                $0 += Array("{\"n\":\(index + 1)}".utf8)
            }
        }
        return records
    }

    /// The tickets in bytes to be sent.
    private static func tickets(_ bytes: [UInt8]) throws -> [UInt64] {
        var parser = RecordFrameParser()
        var greeting: [UInt8] = []
        RecordFrame.appendGreeting(name: "", to: &greeting)
        var buffer = greeting + bytes
        var tickets: [UInt64] = []
        while case (let frame?, let consumed) = try parser.next(buffer.span) {
            if case .record(let ticket, _, let object) = frame {
                #expect(String(decoding: buffer[object], as: UTF8.self) == "{\"n\":\(ticket)}")
                tickets.append(ticket)
            }
            buffer.removeFirst(consumed)
        }
        #expect(buffer.isEmpty)
        return tickets
    }

    @Test("What is added is sent once")
    func sendsOnce() throws {
        var records = Self.records([.written, .synced])
        #expect(try Self.tickets(records.takeUnsent()) == [1, 2])
        #expect(!records.hasUnsent)
        records.add(.written, tag: 3, time: 0) { $0 += Array("{\"n\":3}".utf8) }
        #expect(try Self.tickets(records.takeUnsent()) == [3])
    }

    @Test("An acknowledgement settles what asked for that durability, and no more")
    func acknowledges() {
        var records = Self.records([.written, .synced, .written, .synced, .written])
        _ = records.takeUnsent()
        var settled: [Int] = []
        #expect(records.acknowledge(.written, through: 3) { settled.append($0) })
        #expect(settled == [1, 3])
        #expect(records.acknowledge(.synced, through: 4) { settled.append($0) })
        #expect(settled == [1, 3, 2, 4])
        #expect(records.acknowledge(.written, through: 5) { settled.append($0) })
        #expect(settled == [1, 3, 2, 4, 5])
        #expect(records.isEmpty)
    }

    @Test("An acknowledgement of what was never sent is none")
    func neverSent() {
        var records = Self.records([.written])
        #expect(!records.acknowledge(.written, through: 1) { _ in Issue.record("settled") })
        #expect(records.refuse(1...1) { _ in Issue.record("settled") } == nil)
        _ = records.takeUnsent()
        #expect(!records.acknowledge(.written, through: 2) { _ in Issue.record("settled") })
    }

    @Test("A refusal settles what it covers, and counts what nobody waits for")
    func refuses() {
        var records = Self.records([.written, .synced, .written])
        records.add(.written, tag: nil, time: 0) { $0 += Array("{}".utf8) }
        _ = records.takeUnsent()
        var settled: [Int] = []
        _ = records.acknowledge(.written, through: 1) { settled.append($0) }
        #expect(records.refuse(1...4) { settled.append(-$0) } == 1)
        #expect(settled == [1, -2, -3])
        #expect(records.isEmpty)
    }

    @Test("On a new connection what is not settled is sent again, in order")
    func restarts() throws {
        var records = Self.records([.written, .synced, .written, .synced])
        _ = records.takeUnsent()
        _ = records.acknowledge(.written, through: 3) { _ in }
        records.add(.written, tag: 5, time: 0) { $0 += Array("{\"n\":5}".utf8) }
        records.restart()
        #expect(try Self.tickets(records.takeUnsent()) == [2, 4, 5])
        var settled: [Int] = []
        #expect(records.acknowledge(.written, through: 5) { settled.append($0) })
        #expect(records.acknowledge(.synced, through: 4) { settled.append($0) })
        #expect(settled == [5, 2, 4])
        #expect(records.isEmpty)
    }

    @Test("What waits too long is given up, but still sent")
    func expires() throws {
        var records = Self.records([.synced, .written, .synced, .written])
        _ = records.takeUnsent()
        _ = records.acknowledge(.written, through: 2) { _ in }
        var expired: [Int] = []
        #expect(records.expire(addedBy: 20) { expired.append($0) } == 30)
        #expect(expired == [1, 3])
        #expect(records.expire(addedBy: 30) { expired.append($0) } == nil)
        #expect(expired == [1, 3, 4])
        records.restart()
        #expect(try Self.tickets(records.takeUnsent()) == [1, 3, 4])
    }

    @Test("There is room until the bounds")
    func bounds() {
        var records = PendingRecords<Int>(recordBound: 2, byteBound: 1 << 20)
        for tag in 0..<2 {
            #expect(records.hasRoom)
            records.add(.written, tag: tag, time: 0) { $0 += Array("{}".utf8) }
        }
        #expect(!records.hasRoom)
        var large = PendingRecords<Int>(recordBound: 1000, byteBound: 100)
        large.add(.written, tag: 0, time: 0) { $0 += [UInt8](repeating: 1, count: 100) }
        #expect(!large.hasRoom)
    }

    @Test("However records, acknowledgements, refusals and new connections follow each other, each is settled once")
    func property() throws {
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<200 {
            var records = PendingRecords<Int>(recordBound: .max, byteBound: .max)
            var isSettled: [Bool] = []
            var durabilities: [Durability] = []
            var sent = 0
            func settle(_ tag: Int) {
                #expect(!isSettled[tag - 1])
                isSettled[tag - 1] = true
            }
            for _ in 0..<300 {
                switch Int.random(in: 0..<10, using: &generator) {
                case 0..<5:
                    isSettled.append(false)
                    durabilities.append(Bool.random() ? .written : .synced)
                    let number = isSettled.count
                    records.add(durabilities.last!, tag: number, time: 0) { $0 += Array("{\"n\":\(number)}".utf8) }
                case 5, 6:
                    sent = max(sent, Int(try Self.tickets(records.takeUnsent()).last ?? 0))
                case 7 where sent > 0:
                    let through = Int.random(in: 1...sent)
                    let durability = Bool.random() ? Durability.written : .synced
                    let isTaken = records.acknowledge(durability, through: UInt64(through), settle)
                    if isTaken {
                        for index in 0..<through where durabilities[index] == durability { #expect(isSettled[index]) }
                    }
                case 8 where sent > 0:
                    let first = Int.random(in: 1...sent)
                    let last = Int.random(in: first...sent)
                    if records.refuse(UInt64(first)...UInt64(last), settle) != nil {
                        for index in first - 1..<last { #expect(isSettled[index]) }
                    }
                case 9: records.restart()
                default: break
                }
            }
            records.restart()
            let rest = try Self.tickets(records.takeUnsent())
            #expect(rest == isSettled.indices.filter { !isSettled[$0] }.map { UInt64($0 + 1) })
        }
    }
}
