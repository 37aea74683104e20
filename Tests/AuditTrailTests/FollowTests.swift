import Glibc
import Ledger
import Testing

@testable import AuditTrail

@Suite("drawbridge audit follow")
struct FollowTests {
    /// Runs `follow` and, whenever it waits, the next step.
    private func follow(
        _ fixture: AuditFixture, _ arguments: [String] = [], _ steps: [() throws -> Void]
    ) throws -> [String] {
        var steps = steps[...]
        var failure: (any Error)?
        let said = try fixture.run(["follow", "--json"] + arguments) {
            guard let step = steps.popFirst() else { return false }
            do { try step() } catch { failure = error }
            return failure == nil
        }
        if let failure { throw failure }
        #expect(said.status == 0)
        return said.lines
    }

    private func sequences(_ lines: [String]) -> [Int] {
        lines.compactMap { $0.dropFirst(7).split(separator: ",").first.flatMap { Int($0) } }
    }

    @Test("It begins with the newest records and goes on with those to come, across segments, none twice")
    func rotation() throws {
        let fixture = try AuditFixture()
        fixture.configuration.segmentByteBound = 3000
        var writer = try fixture.writer()
        for number in 0..<20 { _ = try writer.keep(AuditFixture.request(number, time: fixture.clock.milliseconds)) }
        let before = fixture.segments.count
        #expect(before > 3)
        let size = Int(writer.size)
        try writer.close()
        let lines = try follow(
            fixture,
            steps: (20..<40).map { number in
                {
                    // Each time by a writer that was started anew.
                    var writer = try fixture.writer()
                    _ = try writer.keep(AuditFixture.request(number, time: fixture.clock.milliseconds))
                    try writer.close()
                }
            })
        #expect(fixture.segments.count > before + 3)
        let all = try fixture.segments.flatMap { try fixture.lines($0) }
        let shown = sequences(lines)
        #expect(shown.last == all.count - 1)
        #expect(shown == Array(shown[0]..<all.count))
        #expect(shown[0] < size && shown[0] >= size - Follow.backlog)
        #expect(lines == Array(all[shown[0]...]))
    }

    private func follow(_ fixture: AuditFixture, steps: [() throws -> Void]) throws -> [String] {
        try follow(fixture, [], steps)
    }

    @Test("An incomplete line is shown once it is complete, and one cut off by recovery never")
    func tornLine() throws {
        let fixture = try AuditFixture()
        var writer = try fixture.writer()
        _ = try writer.keep(AuditFixture.request(0, time: 1))
        try writer.close()
        let path = "\(fixture.records)/\(fixture.segments[0])"
        let good = try fixture.read(fixture.segments[0])
        let lines = try follow(
            fixture,
            steps: [
                { fixture.write(good + Array(#"{"seq":3,"record":{"torn":1234567890"#.utf8), to: path) },
                {
                    var writer = try fixture.writer()
                    _ = try writer.keep(AuditFixture.request(1, time: 2))
                    try writer.close()
                },
            ])
        #expect(lines == (try fixture.lines(fixture.segments[0])))
        #expect(sequences(lines) == [0, 1, 2, 3, 4, 5])
        #expect(lines[3].contains(#""event":"recovered""#))
    }

    @Test("It waits for a ledger that is not begun yet")
    func empty() throws {
        let fixture = try AuditFixture()
        let lines = try follow(
            fixture,
            steps: [
                {},
                {
                    var writer = try fixture.writer()
                    _ = try writer.keep(AuditFixture.request(0, time: 1))
                    try writer.close()
                },
            ])
        #expect(sequences(lines) == [0, 1, 2])
    }

    @Test("It takes the filters of search")
    func filtered() throws {
        let fixture = try AuditFixture()
        try fixture.fill(requests: 30)
        let lines = try follow(
            fixture, ["--verdict", "refused"],
            [
                {
                    var writer = try fixture.writer()
                    for number in 30..<40 { _ = try writer.keep(AuditFixture.request(number, time: 1)) }
                    try writer.close()
                }
            ])
        #expect(lines.allSatisfy { $0.contains("refused") })
        #expect(lines.last?.contains(AuditFixture.id(39)) == true)
    }
}
