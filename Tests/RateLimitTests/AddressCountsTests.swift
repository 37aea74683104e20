import FoundationEssentials
import Glibc
import Loop
import Testing

@testable import RateLimit

@Suite("What addresses hold on to")
struct AddressCountsTests {
    private let directory = TemporaryDirectory()
    private var path: String { directory.path + "/counts" }

    private let one = AddressBlock("192.0.2.1")!
    private let other = AddressBlock("192.0.2.2")!

    init() { Loop.runInBackground() }

    private func take(_ counts: AddressCounts, _ address: AddressBlock, upTo bound: Int, of tries: Int = 20) -> Int {
        (0..<tries).count { _ in counts.hold(1, of: .connections, by: address, upTo: bound) }
    }

    @Test("Nobody holds more than the bound, whatever others hold and of what; what is released may be held again")
    func bound() throws {
        let counts = try AddressCounts(path: path)
        #expect(take(counts, one, upTo: 5) == 5)
        #expect(take(counts, other, upTo: 5) == 5)
        #expect(take(counts, AddressBlock("2001:db8::1")!, upTo: 3) == 3)
        // All of one subscriber's.
        #expect(take(counts, AddressBlock("2001:db8::ffff")!, upTo: 3) == 0)
        #expect(counts.hold(70_000, of: .headBytes, by: one, upTo: 70_000))
        #expect(!counts.hold(1, of: .headBytes, by: one, upTo: 70_000))
        counts.release(70_000, of: .headBytes, by: one)
        #expect(counts.hold(1, of: .headBytes, by: one, upTo: 70_000))
        for _ in 0..<2 { counts.release(1, of: .connections, by: one) }
        #expect(take(counts, one, upTo: 5) == 2)
        // A larger bound is one for what is held already, too.
        #expect(take(counts, one, upTo: 7) == 2)
    }

    @Test("Several tables on one file count together, and what one held is forgotten when it is closed")
    func together() throws {
        let first = try AddressCounts(path: path)
        do {
            let second = try AddressCounts(path: path)
            #expect(take(second, one, upTo: 8, of: 3) == 3)
            #expect(take(first, one, upTo: 8) == 5)
            #expect(take(second, one, upTo: 8) == 0)
            first.release(1, of: .connections, by: one)
            #expect(take(second, one, upTo: 8) == 1)
        }
        // By who would otherwise refuse somebody.
        #expect(take(first, one, upTo: 8) == 4)
        do {
            let third = try AddressCounts(path: path)
            #expect(take(third, other, upTo: 3) == 3)
        }
        // And by who takes its place.
        let fourth = try AddressCounts(path: path)
        #expect(take(fourth, other, upTo: 3) == 3)
        #expect(take(first, other, upTo: 3) == 0)
    }

    @Test("A crowd of addresses keeps hardly anybody from what he may have")
    func crowd() throws {
        let counts = try AddressCounts(path: path)
        for number in 0..<5_000 {
            let address = AddressBlock("10.0.\(number / 250).\(number % 250)")!
            #expect(take(counts, address, upTo: 20, of: 2) == 2)
        }
        // Of the cells of one row 125 in 1,000 hold two of the crowd or more; both cells of an address 16 in 1,000
        // times.
        var short = 0
        for number in 0..<1_000 {
            let address = AddressBlock("10.1.\(number / 250).\(number % 250)")!
            let taken = take(counts, address, upTo: 8, of: 6)
            if taken < 6 { short += 1 }
            counts.release(taken, of: .connections, by: address)
        }
        #expect(short < 60)
    }

    @Test("As many count as there can be, and no more")
    func columns() throws {
        var tables = try (0..<AddressCounts.columnCount).map { _ in try AddressCounts(path: path) }
        #expect(throws: RateLimitError.self) { try AddressCounts(path: path) }
        #expect(take(tables[0], one, upTo: 3, of: 1) + take(tables[511], one, upTo: 3) == 3)
        tables.removeLast()
        #expect(take(try AddressCounts(path: path), one, upTo: 3) == 2)
    }

    @Test("A table in a directory that is not there is an error")
    func nowhere() {
        #expect(throws: RateLimitError.self) { try AddressCounts(path: "/nonexistent/counts") }
    }

    @Test("Four processes that take all they get have one bound's worth, and killed they have nothing")
    @OnLoop func processes() async throws {
        let counts = try AddressCounts(path: path)
        for round in 0..<2 {
            // In the second the first has left columns behind that hold everything.
            let holders = try (0..<4).map { try Holder(path, name: "\(round)-\($0)", bound: 1000) }
            for holder in holders { try await holder.isDone() }
            #expect(holders.map(\.held).reduce(0, +) == 1000)
            #expect(take(counts, one, upTo: 1000) == 0)
            for holder in holders { try await holder.kill() }
        }
        #expect(take(counts, one, upTo: 1000, of: 2000) == 1000)
    }

    /// A process that takes all it gets for the first address.
    @OnLoop
    private final class Holder {
        private let process: ChildProcess
        private let output: String

        init(_ path: String, name: String, bound: Int) throws {
            output = "\(path).\(name)"
            let file = open(output, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
            defer { close(file) }
            process = try ChildProcess(
                "/usr/bin/setpriv",
                ["--pdeathsig", "KILL", "--", hammerProgram, "hold", path, "192.0.2.1", "\(bound)", "600"],
                environment: [:], descriptors: [.null, .inherit(file), .inherit(2)])
        }

        private var written: Data { (try? Data(contentsOf: URL(filePath: output))) ?? Data() }

        var held: Int { written.count { $0 == UInt8(ascii: "1") } }

        func isDone() async throws {
            try await Loop.withDeadline(.seconds(30), "wait for a holder") {
                while self.written.last != UInt8(ascii: ".") { try await Loop.sleep(for: .milliseconds(5)) }
            }
        }

        func kill() async throws {
            process.send(signal: SIGKILL)
            _ = try await process.waitForExit()
        }
    }
}
