import Foundation
import Loop
import PMS
import Stay
import Testing

@testable import Postgres

/// What `Documentation/PMS.md` says that reading takes is enough, and none of it too much.
@Suite("The rights that the rht-hotel adapter documents", .serialized)
struct RhtHotelRightsTests {
    init() { Loop.runInBackground() }

    /// The statements of the block that follows a heading of the page.
    private static func rights() throws -> [String] {
        let page = try String(
            contentsOf: URL(filePath: "\(RhtHotelTrial.package)/Documentation/PMS.md"), encoding: .utf8)
        let section = try #require(page.components(separatedBy: "## The rights that reading takes\n").dropFirst().first)
        let block = try #require(section.components(separatedBy: "```sql\n").dropFirst().first)
        return try #require(block.components(separatedBy: "```").first).components(separatedBy: ";\n")
            .map { statement in
                statement.split(separator: "\n").filter { !$0.hasPrefix("--") }.joined(separator: " ")
                    .trimmingCharacters(in: .whitespacesAndNewlines)
            }.filter { !$0.isEmpty }
    }

    /// What is wrong with reading everything of a hotel; empty when nothing is.
    @OnLoop
    private func complaints(_ adapter: RhtHotel, hotel: Int32) async -> [String] {
        var complaints: [String] = []
        func look<Value>(_ read: () async throws -> Reading<Value>) async {
            do {
                let reading = try await read()
                complaints += (Array(reading.unreadable.values) + reading.faults).map(\.reason)
            } catch { complaints.append("\(error)") }
        }
        let today = Day("2027-01-01")!
        await look { try await adapter.hotels([hotel]) }
        await look { try await adapter.offers(of: [hotel]) }
        await look { try await adapter.occupancy(of: [hotel], from: today) }
        do {
            try await adapter.checkHealth()
            _ = try await adapter.hotelIDs()
            _ = try await adapter.occupancy(of: hotel, from: today, isSettled: true)
            _ = try await adapter.takenNights(of: hotel, rooms: nil, nights: today..<today.advanced(by: 9))
        } catch { complaints.append("\(error)") }
        return complaints
    }

    @Test("A role with exactly these rights reads everything; without any of them it does not", .timeLimit(.minutes(3)))
    func exact() async throws {
        let rights = try Self.rights()
        #expect(rights.count >= 3)
        try await RhtHotelTrial.run { trial in
            let hotel = try await trial.addHotel("Restricted")
            let type = try await trial.addRoomType(hotel, "Type")
            let room = try await trial.addRoom(hotel, type, .forSale, capacity: 2)
            try await trial.addPlan(hotel, "Plan", price: 9000)
            let today = Day("2027-01-01")!
            try await trial.reserve(hotel, room: room, .confirmed, today..<today.advanced(by: 2))
            let role = "reader_\(UInt32.random(in: 0 ... .max))"
            // What everybody may do by default is not to be what makes it work.
            try await trial.script.run(
                """
                CREATE ROLE \(role) LOGIN; REVOKE ALL ON SCHEMA public FROM PUBLIC;
                REVOKE EXECUTE ON FUNCTION get_available_plans_for_hotel FROM PUBLIC
                """)
            for right in rights { try await trial.script.run(right.replacing("TO drawbridge", with: "TO \(role)")) }

            let cluster = try await Cluster.shared()
            let database = try await trial.script.run("SELECT current_database()")
            let configuration = {
                var configuration = DatabaseConfiguration(
                    "host=\(cluster.directory) port=\(cluster.port) user=\(role) dbname=\(database)", name: "restricted"
                )
                configuration.connections = 2
                return configuration
            }()
            try await Database.with(configuration) { restricted in
                let adapter = RhtHotel(
                    restricted, writer: RhtHotel.Writer(agent: "Conformance", user: 1), statementDeadline: .seconds(10))
                #expect(await complaints(adapter, hotel: hotel) == [])
                let offer = try #require(try await adapter.offers(of: [hotel]).found[hotel])
                #expect(offer.rooms.count == 1 && offer.plans.count == 1)
                for right in rights {
                    for single in Self.singles(right) {
                        let revoked = single.replacing("GRANT", with: "REVOKE")
                            .replacing("TO drawbridge", with: "FROM \(role)")
                        try await trial.script.run(revoked)
                        #expect(await !complaints(adapter, hotel: hotel).isEmpty, "\(single) is not needed")
                        try await trial.script.run(single.replacing("TO drawbridge", with: "TO \(role)"))
                    }
                }
                #expect(await complaints(adapter, hotel: hotel) == [])
            }
            try await trial.script.run("DROP OWNED BY \(role); DROP ROLE \(role)")
        }
    }

    /// A grant on several tables, table by table.
    private static func singles(_ right: String) -> [String] {
        guard let on = right.range(of: " ON "), let to = right.range(of: " TO ") else { return [right] }
        let objects = right[on.upperBound..<to.lowerBound].split(separator: ",")
        return objects.map {
            right[..<on.upperBound] + $0.trimmingCharacters(in: .whitespacesAndNewlines) + right[to.lowerBound...]
        }
    }
}
