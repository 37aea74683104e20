import FoundationEssentials
import Glibc
import Loop
import TestSupport
import Testing

@testable import RateLimit

@Suite struct SharedTableTests {
    private let directory = TemporaryDirectory()
    private var path: String { directory.path + "/limits" }

    init() { Loop.runInBackground() }

    @Test("Old cells are taken again: many clients, one after the other, fit into the smallest table")
    func reclaiming() throws {
        let clock = ManualClock()
        let table = try SharedTable(path: path, capacity: 8) { clock.now }
        let limit = limit(burst: 2, per: .seconds(1))
        for client in 0..<1000 {
            #expect(table.check([limit.charge("\(client)")]).isAllowed)
            clock.advance(1_000_000_000)
        }
        #expect(table.evictions == 0)
    }

    @Test("A full line gives up what would be whole first, and keeps who has used the most")
    func eviction() throws {
        let clock = ManualClock()
        let table = try SharedTable(path: path, capacity: 8) { clock.now }
        let limit = limit()
        for _ in 0..<3 { _ = table.check([limit.charge("greedy")]) }
        for client in 0..<50 { _ = table.check([limit.charge("\(client)")]) }
        #expect(table.evictions > 0)
        #expect(!table.check([limit.charge("greedy")]).isAllowed)
    }

    @Test("A second process finds what the first has counted; another size or a damaged head starts anew")
    func files() throws {
        let limit = limit(burst: 1, per: .seconds(1000))
        #expect(try SharedTable(path: path, capacity: 64).check([limit.charge("x")]).isAllowed)
        #expect(try !SharedTable(path: path, capacity: 64).check([limit.charge("x")]).isAllowed)
        #expect(try SharedTable(path: path, capacity: 128).check([limit.charge("x")]).isAllowed)
        #expect(try !SharedTable(path: path, capacity: 128).check([limit.charge("x")]).isAllowed)
        let file = open(path, O_RDWR)
        pwrite(file, "?", 1, 3)
        close(file)
        #expect(try SharedTable(path: path, capacity: 128).check([limit.charge("x")]).isAllowed)
    }

    @Test("Cells full of rubbish stop nobody for longer than a window")
    func rubbish() throws {
        let clock = ManualClock()
        let table = try SharedTable(path: path, capacity: 8) { clock.now }
        let file = open(path, O_RDWR)
        var random = SeededNumbers(seed: 1)
        let words = (0..<16).map { _ in random.next() | 1 << 63 }
        _ = words.withUnsafeBytes { pwrite(file, $0.baseAddress, $0.count, off_t(TableFile.headSize)) }
        close(file)
        let limit = limit()
        for _ in 0..<3 { #expect(table.check([limit.charge("x")]).isAllowed) }
        #expect(!table.check([limit.charge("x")]).isAllowed)
    }

    @Test("A table in a directory that is not there is an error")
    func nowhere() {
        #expect(throws: RateLimitError.self) { try SharedTable(path: "/nonexistent/limits", capacity: 8) }
    }

    @Test("Four processes on one table let through exactly one limit's worth")
    @OnLoop func processes() async throws {
        let hammers = try (0..<4).map { _ in
            try Hammer(path, capacity: 64, keys: 4, burst: 1000, interval: 3_600_000_000_000 / 4, milliseconds: 1000)
        }
        var counts: [UInt8: Int] = [:]
        for hammer in hammers { counts.merge(try await hammer.counts(), uniquingKeysWith: +) }
        #expect(counts == [0: 1000, 1: 1000, 2: 1000, 3: 1000])
    }

    @Test("Several limits at once hold all the same when processes race for the last requests")
    @OnLoop func severalLimits() async throws {
        let hammers = try (0..<4).map { _ in
            try Hammer(
                path, capacity: 64, keys: 4, burst: 1000, interval: 20_000_000_000, milliseconds: 1000, ofAll: 2000)
        }
        var counts: [UInt8: Int] = [:]
        for hammer in hammers { counts.merge(try await hammer.counts(), uniquingKeysWith: +) }
        // What is taken back after a lost race may fall short by the time the race took, never exceed.
        #expect((1996...2000).contains(counts.values.reduce(0, +)) && counts.values.allSatisfy { $0 <= 1000 })
    }

    @Test("Where cells change hands all the time, no key gets more than burst plus rate")
    @OnLoop func handover() async throws {
        let begin = Loop.monotonicNanoseconds
        let interval = 200_000
        let hammers = try (0..<4).map { _ in
            try Hammer(path, capacity: 8, keys: 8, burst: 2, interval: interval, milliseconds: 500)
        }
        var counts: [UInt8: Int] = [:]
        for hammer in hammers { counts.merge(try await hammer.counts(), uniquingKeysWith: +) }
        let bound = 2 + Int(Loop.monotonicNanoseconds - begin) / interval
        #expect(counts.count == 8 && counts.values.allSatisfy { $0 <= bound && $0 > 100 })
    }

    @Test("Processes killed at any instant leave nothing stuck and nothing given twice")
    @OnLoop func kills() async throws {
        var counts: [UInt8: Int] = [:]
        var random = SeededNumbers(seed: 7)
        var killed = 0
        for _ in 0..<20 {
            let hammer = try Hammer(
                path, capacity: 8, keys: 2, burst: 3000, interval: 80_000_000_000, milliseconds: 10_000)
            try await Loop.sleep(for: .milliseconds(.random(in: 8...20, using: &random)))
            hammer.process.send(signal: SIGKILL)
            killed += 1
            counts.merge(try await hammer.counts(), uniquingKeysWith: +)
        }
        let last = try Hammer(path, capacity: 8, keys: 2, burst: 3000, interval: 80_000_000_000, milliseconds: 2000)
        counts.merge(try await last.counts(), uniquingKeysWith: +)
        // A process may die between counting a request and saying so.
        #expect(counts.count == 2 && counts.values.allSatisfy { (3000 - killed...3000).contains($0) })
    }
}

/// One process that asks a table as fast as it can.
@OnLoop
private final class Hammer {
    let process: ChildProcess
    private let output: String

    init(
        _ table: String, capacity: Int, keys: Int, burst: Int, interval: Int, milliseconds: Int, ofAll: Int? = nil
    ) throws {
        output = table + ".\(Loop.monotonicNanoseconds)"
        let file = open(output, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        defer { close(file) }
        let arguments = ([capacity, keys, burst, interval, milliseconds] + (ofAll.map { [$0] } ?? [])).map(String.init)
        process = try ChildProcess(
            hammerProgram, [table] + arguments,
            environment: [:],
            descriptors: [.null, .inherit(file), .inherit(2)])
    }

    /// Requests let through, by key; once the process has ended.
    func counts() async throws -> [UInt8: Int] {
        let exit = try await process.waitForExit()
        // Evictions would void the count.
        #expect(exit.isSuccess || exit.signal == SIGKILL, "\(exit)")
        let bytes = try Data(contentsOf: URL(filePath: output))
        return bytes.reduce(into: [:]) { $0[$1, default: 0] += 1 }
    }
}
