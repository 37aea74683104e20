import Glibc
import Loop
import Testing

// What tests of the catalogue ask for.
extension Node {
    static let cacheScopes = "hotel:read availability:read cache:read cache:write"

    /// A token that may trigger; for some hotels where they are named.
    func cacheToken(_ hotels: String = #""*""#, scopes: String = cacheScopes, client: String = "pms") throws -> String {
        try token {
            $0.scopes = scopes
            $0.hotels = hotels
            $0.client = client
        }
    }

    /// Triggers by a token that may do so everywhere.
    func trigger(_ what: String, _ json: String = "{}", token: String? = nil) async throws -> Answer {
        try await gateway.send(.post("/api/booking-engine/cache/\(what)", token ?? cacheToken(), json: json))
    }

    /// Asks with a token for the cache.
    func ask(_ path: String, token: String? = nil) async throws -> Answer {
        try await gateway.send(.get("/api/booking-engine/\(path)", token ?? cacheToken()))
    }

    func put(_ path: String, _ json: String, token: String? = nil) async throws -> Answer {
        var request = TestRequest.post("/api/booking-engine/\(path)", try token ?? cacheToken(), json: json)
        request.method = "PUT"
        return try await gateway.send(request)
    }

    /// How often the bridge has read from the PMS because of triggers for one cache.
    func fetches(_ cache: String) async throws -> Int {
        let metrics = try await socket("bridge.admin").send(.get("/metrics")).text
        let line = metrics.split(separator: "\n").first {
            $0.hasPrefix("drawbridge_bridge_cache_fetches_total{") && $0.contains("cache=\"\(cache)\"")
        }
        return try #require(line?.split(separator: " ").last.flatMap { Int($0) }, "no such metric")
    }

    /// Ends the bridge, and waits until its successor serves.
    func restartBridge() async throws {
        let bridge = try processID("bridge")
        kill(bridge, SIGKILL)
        try await wait("another bridge", for: .seconds(60)) { [self] in try processID("bridge") != bridge }
        try await waitUntilGatewaysAreReady()
        try await wait("it answers", for: .seconds(60)) { [self] in try await ask("hotels").status == 200 }
    }

    /// Forgets what was written down of the hotels, so that a bridge that starts reads them from the PMS.
    func forgetCatalogue() async throws {
        _ = try await rows(
            """
            DELETE FROM drawbridge.availability_cache;
            UPDATE drawbridge.catalogue_hotels SET hotel = NULL, offer = NULL;
            UPDATE drawbridge.catalogue_state SET format = NULL
            """)
    }

    /// Holds locks on tables until the process that is returned is ended.
    func lock(_ tables: String) async throws -> ChildProcess {
        let locker = try ChildProcess(
            "/usr/bin/env",
            [
                "psql", "-X", "-q", "-d", try variable("DATABASE_URL"), "-c",
                "SET application_name = 'locker'; BEGIN; LOCK TABLE \(tables) IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(300)",
            ],
            environment: ["PATH": "/usr/bin:/bin"], descriptors: [.null, .null, .null])
        try await wait("the tables are locked") { [self] in
            try await value(
                "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'locker' AND wait_event = 'PgSleep'")
                == "1"
        }
        return locker
    }

    func unlock(_ locker: ChildProcess) async throws {
        _ = try await rows(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'locker'")
        _ = try await locker.waitForExit()
    }
}
