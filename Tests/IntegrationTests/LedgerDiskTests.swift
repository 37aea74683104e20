import Glibc
import Ledger
import Loop
import Stay
import Testing

@Suite("A whole installation whose ledger has no disk to write to", .serialized)
struct LedgerDiskTests {
    init() { Loop.runInBackground() }

    @Test(
        "With the disk full everything is answered 503 and nothing forwarded; with space again all goes on by itself",
        .enabled(if: SmallFileSystem.isPossible, "mounting a file system needs root"))
    @OnLoop func full() async throws {
        try await withDisk { place, disk in
            disk.fill()
            // What is left of the last pages takes a few records, of which some are shorter than others.
            try await wait("no record fits any more") {
                try await [place.book(), place.read(), place.ask("/nothing")].allSatisfy { $0.status == 503 }
            }
            try await place.expectStandstill()
            #expect(place.node.log.contains("No space left on device"))
            disk.makeRoom()
        }
    }

    @Test(
        "With the file system read-only everything is answered 503 and nothing forwarded; writable again all goes on",
        .enabled(if: SmallFileSystem.isPossible, "mounting a file system needs root"))
    @OnLoop func readOnly() async throws {
        try await withDisk { place, disk in
            // Not while files are open for writing: the ledger's process ends, and finds it so when it is back.
            place.node.signal(SIGSTOP)
            kill(try place.node.processID("ledger"), SIGKILL)
            try await wait("it is read-only") { disk.become(readOnly: true) }
            place.node.signal(SIGCONT)
            try await wait("the ledger has seen it") { place.node.log.contains("Read-only file system") }
            try await place.expectStandstill()
            try await wait("it is writable") { disk.become(readOnly: false) }
        }
    }

    @Test("With the records taken away everything is answered 503 and nothing forwarded; put back, all goes on")
    @OnLoop func removed() async throws {
        let place = try await Place()
        try await place.start()
        let (records, away) = ("\(place.node.home)/ledger/records", "\(place.node.home)/ledger/away")
        #expect(rename(records, away) == 0)
        try await place.expectStandstill()
        // Nor is another ledger begun.
        #expect(Files.names(in: records) == [])
        #expect(rename(away, records) == 0)
        try await place.expectRecovery()
    }

    /// Runs an installation on a disk of 2 MiB, lets `body` take the disk away and give it back, and expects recovery.
    @OnLoop
    private func withDisk(_ body: @OnLoop (Place, SmallFileSystem) async throws -> Void) async throws {
        let place = try await Place()
        // As the database's user cannot enter this home, the first start makes the cluster elsewhere.
        for path in [place.node.home, "\(place.node.home)/ledger"] { mkdir(path, 0o700) }
        let disk = try SmallFileSystem("\(place.node.home)/ledger", size: "2m")
        defer { disk.unmount() }
        try await place.start()
        try await body(place, disk)
        try await place.expectRecovery()
    }
}

/// An installation, what reaches its bridge, and what its clients were told.
@OnLoop
private final class Place {
    let node: Node
    private let crossing: Crossing
    /// What requests were answered.
    private var answers: [Answer] = []
    /// Bookings by whether they were answered 201.
    private var bookings: [Bool: [String]] = [:]
    private var number = 0

    init() async throws {
        node = try Node(ownsPolicies: true)
        let socket = "\(node.directory)/crossing.sock"
        try Files.change("\(node.policies)/gateway.yaml", "run/bridge.sock", to: socket)
        crossing = try Crossing(
            socket, to: "\(node.home)/run/bridge.sock", records: "\(node.home)/ledger/records")
    }

    func start() async throws {
        try await node.start()
        try await node.waitUntilGatewaysAreReady()
        for _ in 0..<4 { #expect(try await book().status == 201) }
        #expect(try await read().status == 200)
    }

    func book() async throws -> Answer {
        // Another stay each time, so that there is always a room.
        number += 1
        let booking = BookingBody(TestStay(arrival: TestStay.today.advanced(by: 80 + number * 2 % 300), nights: 2))
        let answer = try await node.book(booking)
        bookings[answer.status == 201, default: []].append(booking.engineID)
        answers.append(answer)
        return answer
    }

    func read() async throws -> Answer {
        let answer = try await node.get("/api/booking-engine/hotels/2")
        answers.append(answer)
        return answer
    }

    /// As nobody, who is refused wherever it leads.
    func ask(_ path: String) async throws -> Answer { try await node.gateway.send(.get(path)) }

    /// Nothing can be recorded: everything is answered so, and nothing gets to the bridge.
    func expectStandstill() async throws {
        let changes = crossing.passages.count(where: \.changesSomething)
        for worker in ["gateway-0", "gateway-1"] {
            try await wait("\(worker) has noticed") { [self] in
                // It notices by what it sends.
                expectRefused(try await book())
                return try await node.socket("\(worker).admin").send(.get("/readyz")).status == 503
            }
        }
        let passages = crossing.passages.count
        for _ in 0..<8 {
            expectRefused(try await book())
            expectRefused(try await read())
            expectRefused(try await ask("/nothing"))
        }
        #expect(crossing.passages.count == passages)
        #expect(crossing.passages.count(where: \.changesSomething) == changes)
        expectProblem(try await node.admin.send(.get("/readyz")), 503, "not-ready")
    }

    private func expectRefused(_ answer: Answer) {
        expectProblem(answer, 503, "ledger-unavailable")
        #expect(answer["Retry-After"] == "1")
    }

    /// Without anybody's doing all goes on, and the ledger tells of everything that was forwarded or answered.
    func expectRecovery() async throws {
        try await node.waitUntilGatewaysAreReady()
        for _ in 0..<4 { #expect(try await book().status == 201) }
        for _ in 0..<4 { #expect(try await read().status == 200) }
        let refused = (bookings[false] ?? []).map { "'\($0)'" }.joined(separator: ",")
        #expect(
            try await node.value("SELECT count(*) FROM reservations WHERE ota_reservation_id IN (\(refused))") == "0")
        #expect(try await node.stop().isSuccess)
        await crossing.close()
        let verified = try await InstallationLedger.verify(home: node.home)
        #expect(verified.isSuccess, "\(verified.output)")
        let ledger = try InstallationLedger(node)
        #expect(ledger.report.finding == nil)
        #expect(ledger.report.unsignedCount == 0)
        for answer in answers where answer.problem != "ledger-unavailable" {
            #expect(ledger.decision(answer["X-Request-Id"] ?? "") != nil, "\(answer.text)")
        }
        for passage in crossing.passages where passage.changesSomething {
            #expect(passage.wasDecided && ledger.allows(passage.id, "createBooking"))
        }
    }
}
