internal import Authentication
internal import Loop

/// What `drawbridge doctor` looks at in the database: that it answers, has the PMS's tables with the columns the bridge
/// names, and the migrations.
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

    /// Which variable says where the PMS is.
    private var variable: String { settings.pmsDatabaseURL == nil ? "DATABASE_URL" : "PMS_DATABASE_URL" }

    func run() async throws -> [Finding] {
        guard let url = try Database.url(of: home, settings) else {
            // Of the rest, what can be told without it.
            return [.well("private database (not running)")] + (try await separatePMS()) + (try masterKeyAlone())
        }
        let database = Database(tools: tools, url: url)
        do { _ = try await database.run("SELECT 1") } catch let error as InstallationError {
            return [.wrong("database", error.message, fix: "check DATABASE_URL, and that the server runs")]
        }
        return [.well("database answers")] + (try await pms(beside: database))
            + (try await MigrationExamination(database: database).run()) + (try await signingKeys(database))
    }

    /// The PMS's tables, in this database or in their own.
    private func pms(beside own: Database) async throws -> [Finding] {
        guard settings.pmsDatabaseURL != nil else { return try await tables(own) + [try await plans(own)] }
        // A commit in two databases waits for the word in the bridge's.
        let bound = Int(try await own.run("SHOW max_prepared_transactions")) ?? 0
        let preparation: Finding =
            bound > 0
            ? .well("prepared transactions")
            : .wrong(
                "prepared transactions", "the database of DATABASE_URL allows none",
                fix: "set max_prepared_transactions there to the bridges' pool_size together, at least")
        return [preparation] + (try await separatePMS())
    }

    /// The PMS's own database, where it has one.
    private func separatePMS() async throws -> [Finding] {
        guard let url = settings.pmsDatabaseURL else { return [] }
        let database = Database(tools: tools, url: url)
        do { _ = try await database.run("SELECT 1") } catch let error as InstallationError {
            return [.wrong("PMS database", error.message, fix: "check PMS_DATABASE_URL, and that the server runs")]
        }
        // What the PMS's commit decides must be on its disk by then.
        let durability = try await database.run("SHOW synchronous_commit")
        let commit: Finding =
            durability == "off"
            ? .wrong(
                "PMS synchronous_commit", "it is \(durability) for this role: a crash loses bookings that were made",
                fix: "ALTER ROLE … SET synchronous_commit = on")
            : .well("PMS synchronous_commit")
        return [commit, .well("PMS database answers")] + (try await tables(database)) + [try await plans(database)]
    }

    /// Where the master key is, and what stands there; nil for nothing.
    private func masterKey() throws -> (place: String, text: String?) {
        if let key = Settings.masterKey { return ("$\(MasterKey.variable)", key) }
        let file = SigningKeys.masterKeyFile(home)
        return (file, try File.readText(file))
    }

    /// Whether it is one, as far as can be told without what it has sealed. A file that is not there is missed among the
    /// secrets.
    private func masterKeyAlone() throws -> [Finding] {
        let (place, text) = try masterKey()
        guard let text else { return [] }
        return [(try? MasterKey(text: text)) == nil ? Self.noMasterKey(place) : .well("master key \(place)")]
    }

    private static func noMasterKey(_ place: String) -> Finding {
        .wrong("master key \(place)", "not there, or no key", fix: "put it back from where you keep a copy")
    }

    /// Whether the master key that is here opens the keys that sign tokens.
    private func signingKeys(_ database: Database) async throws -> [Finding] {
        let isThere = try await database.run("SELECT to_regclass('drawbridge.signing_keys') IS NOT NULL")
        guard isThere == "t" else { return [] }
        let sealed = try await database.rows(
            "SELECT DISTINCT master_key_id FROM drawbridge.signing_keys WHERE state <> 'previous'"
        ).map { $0[0] }
        let (place, text) = try masterKey()
        guard let text, let key = try? MasterKey(text: text) else { return [Self.noMasterKey(place)] }
        guard sealed.allSatisfy({ $0 == key.id }) else {
            return [
                .wrong(
                    "master key \(place)",
                    "it is \(key.id); signing keys are stored under \(sealed.sorted().joined(separator: ", "))",
                    fix: "put the right one back, or give the keys up: drawbridge token rotate-keys --withdraw")
            ]
        }
        return [.well("master key \(place)")] + (try await webhookSecrets(database, place, key))
    }

    /// Whether it opens the secrets of webhooks as well.
    private func webhookSecrets(_ database: Database, _ place: String, _ key: MasterKey) async throws -> [Finding] {
        guard try await database.run("SELECT to_regclass('drawbridge.webhook_secrets') IS NOT NULL") == "t" else {
            return []
        }
        let others = try await database.rows(
            """
            SELECT master_key_id, count(DISTINCT endpoint_id), min(endpoint_id::TEXT) FROM drawbridge.webhook_secrets
            WHERE master_key_id <> :'id' AND (expires_at IS NULL OR expires_at > now()) GROUP BY 1 ORDER BY 1
            """, ["id": key.id])
        return others.map { row in
            .wrong(
                "master key \(place)", "it is \(key.id); secrets of \(row[1]) webhooks are stored under \(row[0])",
                fix: "put that one back, or make others: drawbridge webhook rotate-secret \(row[2]) --overlap-hours 0")
        }
    }

    /// Refuses a database that is no PMS's before anything is written into it. One that does not answer is told about by
    /// whoever needs it next.
    static func requirePMS(in database: Database) async throws {
        let missing: [String]
        do {
            missing = try await database.rows(
                "SELECT name FROM unnest(string_to_array(:'names', ' ')) AS name WHERE to_regclass(name) IS NULL",
                ["names": columns.map(\.key).joined(separator: " ")]
            ).map { $0[0] }
        } catch is InstallationError { return }
        guard missing.isEmpty else {
            throw InstallationError(
                "the database of DATABASE_URL lacks tables of the PMS: \(missing.joined(separator: ", "))",
                remedy:
                    "set it to the PMS's database, with a role that finds them on its search_path; or name the PMS's "
                    + "by PMS_DATABASE_URL, and the bridge keeps its own tables here")
        }
    }

    private func tables(_ database: Database) async throws -> [Finding] {
        // Whether the role may do anything with a column, and whether it may read it.
        let columns = try await database.run(
            """
            SELECT table_name || '.' || column_name,
                   has_column_privilege(format('%I.%I', table_schema, table_name)::REGCLASS, column_name::TEXT, 'SELECT')
            FROM information_schema.columns WHERE table_schema = ANY (current_schemas(FALSE))
            """
        ).split(separator: "\n").map { $0.split(separator: "|") }
        let present = Set(columns.map { $0[0] })
        let readable = Set(columns.filter { $0.last == "t" }.map { $0[0] })
        return Self.columns.map { table, columns in
            let columns = columns.split(separator: " ")
            let missing = columns.filter { !present.contains("\(table).\($0)") }
            let hidden = columns.filter { !readable.contains("\(table).\($0)") }
            let fault: String
            if !missing.isEmpty {
                fault = "no column \(missing.joined(separator: ", ")) that this role can see"
            } else if !hidden.isEmpty, !Self.unread.contains(table) {
                fault = "this role may not read \(hidden.joined(separator: ", "))"
            } else {
                return .well("PMS table \(table)")
            }
            return .wrong(
                "PMS table \(table)", fault,
                fix: "point \(variable) at the PMS's database, with a role that may read it")
        }
    }

    /// The PMS's own list of the plans it offers: that it is there, and that it comes to an end for every hotel.
    private func plans(_ database: Database) async throws -> Finding {
        let function = "get_available_plans_for_hotel"
        let isThere = try await database.run(
            "SELECT EXISTS (SELECT FROM pg_proc WHERE proname = '\(function)' AND pg_function_is_visible(oid)"
                + " AND has_function_privilege(oid, 'EXECUTE'))")
        guard isThere == "t" else {
            return .wrong(
                "PMS function \(function)", "not there, or not for this role",
                fix: "point \(variable) at the PMS's database, with a role that may call it")
        }
        do {
            _ = try await database.run(
                "SET statement_timeout = '30s'; SELECT count(*) FROM hotels, \(function)(hotels.id)")
        } catch {
            guard let error = error as? InstallationError else { throw error }
            return .wrong(
                "PMS function \(function)", error.message,
                fix: "give this role the rights that the function asks for, or mend what it stumbles over")
        }
        return .well("PMS function \(function)")
    }

    /// Tables that the bridge only writes.
    private static let unread: Set<String> = ["reservation_rates"]

    /// The columns of the PMS that the bridge names in its statements (`Sources/PMS`,
    /// `Bridge/BookingStatements.swift`).
    private static let columns: KeyValuePairs<String, String> = [
        "hotels":
            "id name formal_name facility_type open_date total_rooms postal_code address email phone_number created_at "
            + "sort_order",
        "room_types": "id hotel_id name description created_at",
        "rooms": "id hotel_id room_type_id capacity smoking has_wet_area for_sale is_staff_room assignment_priority "
            + "room_number",
        "plans_rates": "id hotel_id plans_global_id plans_hotel_id adjustment_type adjustment_value condition_type "
            + "condition_value date_start date_end tax_type_id tax_rate include_in_cancel_fee",
        "reservations": "id hotel_id reservation_client_id check_in check_out number_of_people status type agent "
            + "ota_reservation_id payment_timing comment created_by updated_by",
        "reservation_details": "id hotel_id reservation_id date room_id plans_global_id plans_hotel_id plan_name "
            + "plan_type number_of_people price cancelled billable created_at created_by updated_by",
        "reservation_clients": "hotel_id reservation_details_id client_id created_by updated_by",
        "reservation_rates": "hotel_id reservation_details_id adjustment_type adjustment_value price tax_type_id "
            + "tax_rate include_in_cancel_fee created_by updated_by",
        "logs_reservation": "id table_name action record_id changes",
        "users": "id name role_id",
        "user_roles": "id role_name",
        "clients": "id name name_kana legal_or_natural_person email phone created_at created_by updated_by",
    ]
}
