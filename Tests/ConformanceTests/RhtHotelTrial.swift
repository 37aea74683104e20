import Foundation
import Glibc
import Loop
import PMS
import Stay
import Testing

@testable import Postgres

/// The rht-hotel PMS for the conformance suite: its tables, in a database of each test's own.
@OnLoop
struct RhtHotelTrial: AdapterTrial {
    let adapter: any PMSAdapter
    let script: SQLScript

    nonisolated static let package = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(3)
        .joined(separator: "/")

    static func run(_ body: @escaping @Sendable @OnLoop (RhtHotelTrial) async throws -> Void) async throws {
        let cluster = try await Cluster.shared()
        let name = "pms_\(UInt32.random(in: 0 ... .max))"
        let server = SQLScript(cluster, database: "postgres")
        try await server.run("CREATE DATABASE \(name)")
        let script = SQLScript(cluster, database: name)
        // The demo's tables, which are those of the original by name and shape.
        try await script.run(file: "\(package)/Sources/Installation/Demo/demo-pms.sql")
        try await Database.with(cluster.configuration(connections: 4, database: name)) { database in
            let adapter = RhtHotel(
                database, writer: RhtHotel.Writer(agent: "Conformance", user: 1), statementDeadline: .seconds(30))
            while !adapter.isConnected { try await Loop.sleep(for: .milliseconds(5)) }
            try await body(RhtHotelTrial(adapter: adapter, script: script))
        }
        try await server.run("DROP DATABASE \(name) WITH (FORCE)")
    }

    func addHotel(_ name: String) async throws -> Int32 {
        let hotel = try await number("INSERT INTO hotels (name) VALUES (\(quoted(name))) RETURNING id")
        try await script.run("SELECT create_hotel_partitions(\(hotel), \(hotel))")
        return hotel
    }

    func addRoomType(_ hotel: Int32, _ name: String) async throws -> Int32 {
        try await number("INSERT INTO room_types (hotel_id, name) VALUES (\(hotel), \(quoted(name))) RETURNING id")
    }

    func addRoom(_ hotel: Int32, _ type: Int32, _ kind: RoomKind, capacity: Int32) async throws -> Int32 {
        try await number(
            """
            INSERT INTO rooms (hotel_id, room_type_id, room_number, capacity, for_sale, is_staff_room)
            VALUES (\(hotel), \(type), gen_random_uuid()::TEXT, \(capacity), \(kind != .notForSale), \(kind == .staff))
            RETURNING id
            """)
    }

    func addPlan(_ hotel: Int32, _ name: String, price: Int) async throws {
        try await script.run(
            """
            WITH plan AS (
                INSERT INTO plans_hotel (hotel_id, name) VALUES (\(hotel), \(quoted(name))) RETURNING id)
            INSERT INTO plans_rates (hotel_id, plans_hotel_id, adjustment_type, adjustment_value, tax_rate,
                                     condition_type, date_start)
            SELECT \(hotel), id, 'base_rate', \(price), 0.1, 'no_restriction', '2020-01-01' FROM plan
            """)
    }

    func addAddOn(_ hotel: Int32, _ name: String, isShown: Bool) async throws {
        try await script.run(
            "INSERT INTO addons_hotel (hotel_id, name, price, visible) VALUES (\(hotel), \(quoted(name)), 1, \(isShown))"
        )
    }

    func reserve(_ hotel: Int32, room: Int32?, _ kind: ReservationKind, _ nights: Range<Day>) async throws {
        let client = kind == .block ? "'11111111-1111-1111-1111-111111111111'" : "guest.id"
        try await script.run(
            """
            WITH guest AS (INSERT INTO clients (name) VALUES ('guest') RETURNING id),
            reservation AS (
                INSERT INTO reservations (hotel_id, reservation_client_id, check_in, check_out, number_of_people, status)
                SELECT \(hotel), \(client), '\(nights.lowerBound)', '\(nights.upperBound)', 1, '\(kind)' FROM guest
                RETURNING id)
            INSERT INTO reservation_details (hotel_id, reservation_id, date, room_id, number_of_people, cancelled)
            SELECT \(hotel), id, night, \(room.map(String.init) ?? "NULL"), 1,
                   \(kind == .cancelled ? "gen_random_uuid()" : "NULL")
            FROM reservation, generate_series(DATE '\(nights.lowerBound)', DATE '\(nights.upperBound)' - 1, '1 day')
                AS night
            """)
    }

    func removeHotel(_ hotel: Int32) async throws { try await script.run("DELETE FROM hotels WHERE id = \(hotel)") }

    func shape() async throws -> String {
        try await script.run(
            """
            SELECT string_agg(line, E'\\n' ORDER BY line) FROM (
                SELECT format('%s.%s %s', attrelid::REGCLASS, attname, atttypid::REGTYPE) AS line FROM pg_attribute
                WHERE attnum > 0 AND NOT attisdropped AND attrelid IN (
                    SELECT oid FROM pg_class WHERE relnamespace = 'public'::REGNAMESPACE)
                UNION ALL
                SELECT format('%s on %s', tgname, tgrelid::REGCLASS) FROM pg_trigger WHERE NOT tgisinternal
                UNION ALL
                SELECT format('%s: %s', relname, reltuples >= 0) FROM pg_class
                WHERE relnamespace = 'public'::REGNAMESPACE AND relkind = 'i'
            ) AS lines
            """)
    }

    private func quoted(_ text: String) -> String { "'\(text.replacing("'", with: "''"))'" }

    private func number(_ sql: String) async throws -> Int32 { try #require(Int32(try await script.run(sql))) }
}

/// SQL that a test puts together, which the bridge's own statements never are; by `psql`.
@OnLoop
struct SQLScript {
    private let arguments: [String]

    init(_ cluster: Cluster, database: String, user: String = "tests") {
        arguments = [
            "psql", "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-h", cluster.directory, "-p", "\(cluster.port)",
            "-U", user, "-d", database,
        ]
    }

    /// What the last statement returned, as text.
    @discardableResult
    func run(_ sql: String) async throws -> String { try await call(["-c", sql]) }

    func run(file: String) async throws { _ = try await call(["-1", "-f", file]) }

    private func call(_ more: [String]) async throws -> String {
        let output = "/tmp/dbc-output-\(UInt64.random(in: 0 ... .max))"
        let file = open(output, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        defer {
            close(file)
            unlink(output)
        }
        let child = try ChildProcess(
            "/usr/bin/env", arguments + more,
            environment: ["PATH": "/usr/bin:/bin", "PGOPTIONS": "-c client_min_messages=error"],
            descriptors: [.null, .inherit(file), .inherit(file)])
        let exit = try await Loop.withDeadline(.seconds(60), "psql") { try await child.waitForExit() }
        let text = String(decoding: try Data(contentsOf: URL(filePath: output)), as: UTF8.self)
        try #require(exit.isSuccess, "\(text)")
        return text.trimmingCharacters(in: .whitespacesAndNewlines)
    }
}
