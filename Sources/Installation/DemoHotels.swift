internal import Cryptography
public import Loop
internal import Telemetry

/// The demo PMS in the private cluster: its schema, its hotels, and the API keys of the demo clients.
@OnLoop
public struct DemoHotels {
    /// Hotels loaded in one transaction; each new partition holds locks until its end.
    private static let batchSize = 100

    private let database: Database

    public init(_ cluster: PrivateCluster, secrets: Secrets) {
        database = cluster.database(secrets)
    }

    /// Creates the PMS's tables, unless they are there.
    public func createSchema() async throws {
        guard try await database.run("SELECT to_regclass('public.hotels') IS NULL") == "t" else { return }
        Log.info("creating the demo PMS")
        let script = String(decoding: PackageResources.demo_pms_sql + PackageResources.demo_data_sql, as: UTF8.self)
        try await database.run("SET client_min_messages = warning; BEGIN;\n\(script)\nCOMMIT;\n")
    }

    /// Loads the hotels from 1 to `count` that are not there yet. Each batch is loaded whole or not at all, so an
    /// interrupted load goes on where it was.
    public func load(_ count: Int) async throws {
        let start = Loop.monotonicNanoseconds
        let loaded = try await database.run(
            #"""
            SET synchronous_commit = off;
            SET client_min_messages = warning;
            SELECT format('SELECT count(demo_load_hotels(%s, %s)) * %s', min(id), max(id), count(*))
            FROM (SELECT id, id - row_number() OVER (ORDER BY id) AS island, (id - 1) / :batch AS batch
                  FROM generate_series(1, :count) AS id WHERE id NOT IN (SELECT hotels.id FROM hotels)) AS missing
            GROUP BY island, batch ORDER BY min(id) \gexec
            """#, variables: ["count": String(count), "batch": String(Self.batchSize)])
        let hotels = loaded.split(separator: "\n").compactMap { Int($0) }.reduce(0, +)
        guard hotels > 0 else { return }
        try await database.run("SET client_min_messages = error; ANALYZE")
        Log.info(
            "loaded demo hotels",
            [
                "hotels": Log.Value(hotels),
                "seconds": .number(Double((Loop.monotonicNanoseconds - start) / 1_000_000) / 1000),
            ])
    }

    /// Makes the demo clients' API keys known, for another 90 days, and forgets earlier ones.
    public func registerKeys(_ secrets: Secrets) async throws {
        // One run of psql for all: each would be another process that the start waits for.
        var script = #"SELECT to_regclass('booking_engine_api_keys') IS NOT NULL AS has_keys \gset"# + "\n"
        script += "\\if :has_keys\nBEGIN;\n"
        var variables: [String: String] = [:]
        for (number, (key, text)) in secrets.apiKeys.enumerated() {
            variables["hash\(number)"] = Hexadecimal.encode(SHA256.hash(text).bytes)
            variables["client\(number)"] = key.client
            variables["description\(number)"] = key.description
            variables["scopes\(number)"] = key.scopes.joined(separator: " ")
            script += Self.registration(number)
        }
        try await database.run(script + "COMMIT;\n\\endif\n", variables: variables)
    }

    /// What makes the key known whose variables have a number.
    private static func registration(_ number: Int) -> String {
        let (hash, description) = (":'hash\(number)'", ":'description\(number)'")
        return """
            DELETE FROM booking_engine_api_keys WHERE description = \(description) AND api_key_hash <> \(hash);
            INSERT INTO booking_engine_api_keys (api_key_hash, client, description, scopes)
            VALUES (\(hash), :'client\(number)', \(description), string_to_array(:'scopes\(number)', ' '))
            ON CONFLICT (api_key_hash) DO UPDATE
            SET client = excluded.client, scopes = excluded.scopes, is_active = TRUE,
                expires_at = now() + INTERVAL '90 days';

            """
    }
}
