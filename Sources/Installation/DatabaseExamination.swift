internal import Loop

/// What `drawbridge doctor` looks at in the database: that it answers, has the PMS's tables with the columns the bridge
/// reads, and the bridge's own.
@OnLoop
struct DatabaseExamination {
    private let home: Home
    private let settings: Settings
    private let tools: Tools

    init(_ home: Home, _ settings: Settings, tools: Tools) {
        self.home = home
        self.settings = settings
        self.tools = tools
    }

    func run() async throws -> [Finding] {
        let database: Database
        if let url = settings.databaseURL {
            database = Database(tools: tools, url: url)
        } else if HomeLock.isHeld(home), let url = try EnvironmentFile.value("DATABASE_URL", in: home.environmentFile) {
            database = Database(tools: tools, url: url)
        } else {
            return [.well("private database (not running)")]
        }
        do { _ = try await database.run("SELECT 1") } catch let error as InstallationError {
            return [.wrong("database", error.message, fix: "check DATABASE_URL, and that the server runs")]
        }
        return [.well("database answers")] + (try await tables(database)) + [try await migrations(database)]
    }

    private func tables(_ database: Database) async throws -> [Finding] {
        let present = Set(
            try await database.run(
                """
                SELECT table_name || '.' || column_name FROM information_schema.columns
                WHERE table_schema = ANY (current_schemas(FALSE))
                """
            ).split(separator: "\n"))
        return Self.columns.map { table, columns in
            let missing = columns.split(separator: " ").filter { !present.contains("\(table).\($0)") }
            guard !missing.isEmpty else { return .well("PMS table \(table)") }
            return .wrong(
                "PMS table \(table)", "no column \(missing.joined(separator: ", ")) that this role can see",
                fix: "point DATABASE_URL at the PMS's database, with a role that may read it")
        }
    }

    private func migrations(_ database: Database) async throws -> Finding {
        let present = try await database.run(
            "SELECT to_regclass('drawbridge.bookings') IS NOT NULL AND to_regclass('booking_sync_status') IS NOT NULL")
        return present == "t"
            ? .well("migrations") : .wrong("migrations", "not applied", fix: "drawbridge up applies them")
    }

    /// The columns of the PMS that the bridge reads or writes.
    private static let columns: KeyValuePairs<String, String> = [
        "hotels":
            "id formal_name name facility_type open_date total_rooms postal_code address email phone_number created_at",
        "room_types": "id hotel_id name description created_at",
        "rooms": "id hotel_id room_type_id capacity for_sale is_staff_room assignment_priority room_number",
        "reservations": "id hotel_id reservation_client_id check_in check_out number_of_people status type agent "
            + "ota_reservation_id payment_timing comment created_at created_by updated_by",
        "reservation_details": "id hotel_id reservation_id date room_id plans_global_id plans_hotel_id plan_name "
            + "plan_type number_of_people price cancelled billable",
        "reservation_clients": "hotel_id reservation_details_id client_id",
        "reservation_rates": "hotel_id reservation_details_id adjustment_type adjustment_value tax_type_id tax_rate "
            + "price include_in_cancel_fee",
        "clients": "id name name_kana name_kanji legal_or_natural_person gender email phone",
        "plans_global": "id name description plan_type color",
        "plans_hotel": "id hotel_id plans_global_id name description plan_type color",
        "plans_rates": "hotel_id plans_global_id plans_hotel_id adjustment_type adjustment_value condition_type "
            + "condition_value date_start date_end tax_type_id tax_rate include_in_cancel_fee",
        "logs_reservation": "id table_name action record_id changes",
    ]
}
