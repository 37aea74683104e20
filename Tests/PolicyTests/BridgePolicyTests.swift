import Authentication
import Cryptography
import Glibc
import Testing

@testable import Policy

@Suite("The bridge's policy")
struct BridgePolicyTests {
    private func load(_ text: String) throws -> BridgePolicy {
        let directory = try TemporaryDirectory()
        return try BridgePolicy.load(directory.write(text, to: "bridge.yaml"))
    }

    private let least = "pms_writer: {user_id: 7, agent_name: Web}\n"

    @Test("The repository's file is in order")
    func repository() throws {
        let policy = try BridgePolicy.load(TemporaryDirectory.repository + "/bridge.yaml")
        #expect(policy.availability == BridgePolicy.Availability())
        #expect(policy.database == BridgePolicy.Database())
        #expect(policy.hotel(1) == BridgePolicy.Hotel())
        #expect(policy.writer == BridgePolicy.PMSWriter(userID: 2, agentName: "Drawbridge"))
        #expect(policy.maximumRequestBody == .kibibytes(128))
        #expect(policy.pmsWrites == BridgePolicy.PMSWrites())
        #expect(policy.retention == BridgePolicy.Retention())
    }

    @Test("What is written of writes that fail is taken")
    func writes() throws {
        let policy = try load(
            least + """
                pms_writes:
                  attempts: 5
                  initial_delay: 500 ms
                  multiplier: 3
                  longest_delay: 1 min
                  jitter_percentage: 0
                  retryable_errors: [busy, timed_out]
                retention: {pms_write_days: 7}
                """)
        #expect(policy.pmsWrites.attempts == 5 && policy.pmsWrites.multiplier == 3)
        #expect(policy.pmsWrites.initialDelay == .milliseconds(500) && policy.pmsWrites.longestDelay == .seconds(60))
        #expect(policy.pmsWrites.jitterPercentage == 0)
        #expect(policy.pmsWrites.retryableErrors == [.busy, .timedOut])
        #expect(policy.retention.pmsWriteDays == 7)
    }

    @Test("A hotel's own entry goes over the defaults, key by key")
    func overrides() throws {
        let policy = try load(
            least + """
                hotel_defaults: {time_zone: Asia/Seoul, currency: KRW}
                hotels:
                  - {hotel_id: 12, currency: USD, when_unreachable: pending}
                """)
        #expect(policy.hotel(1).currency == "KRW")
        #expect(policy.hotel(12).currency == "USD")
        #expect(policy.hotel(12).timeZone == "Asia/Seoul")
        #expect(policy.hotel(12).whenUnreachable == .pending && policy.hotel(1).whenUnreachable == .refuse)
        #expect(policy.takesPending)
    }

    @Test(
        "Impossible values are refused",
        arguments: [
            "hotel_defaults: {time_zone: Asia/Atlantis}", "hotel_defaults: {time_zone: ../../etc/passwd}",
            "hotel_defaults: {time_zone: /etc/passwd}", "hotel_defaults: {currency: yen}",
            "hotels: [{currency: JPY}]", "hotels: [{hotel_id: 1}, {hotel_id: 1}]", "database: {pool_size: 0}",
            "availability: {maximum_nights: 31}", "availability: {refresh_share: 0}",
            "availability: {maximum_age: 14 min}", "availability: {time_to_live: 16 min}",
            "availability: {time_to_live: 999 ms}", "availability: {time_to_live: 2 min, maximum_age: 1 min}",
            "hotel_defaults: {currency: XYZ}", "availability: {window: 500}",
            "maximum_request_body: 64", "pms_writes: {attempts: 0}", "pms_writes: {jitter_percentage: 51}",
            "pms_writes: {initial_delay: 31 s, longest_delay: 30 s}", "pms_writes: {retryable_errors: [refused]}",
            "pms_writes: {retryable_errors: busy}", "pms_writes: {tries: 3}",
            "pms_writes: {when_unreachable: pending}", "availability: {time_to_live: 1500 ms}",
            "hotel_defaults: {when_unreachable: queue}",
            "retention: {pms_write_days: 0}",
        ])
    func refused(line: String) throws {
        let directory = try TemporaryDirectory()
        let file = try directory.write(least + line, to: "bridge.yaml")
        let found = mistakes { () throws(PolicyError) in _ = try BridgePolicy.load(file) }
        #expect(found.map(\.line) == [2])
    }

    @Test("Without a PMS user nothing is written, so it must be named")
    func writer() throws {
        let directory = try TemporaryDirectory()
        let file = try directory.write("database: {}\n", to: "bridge.yaml")
        let found = mistakes { () throws(PolicyError) in _ = try BridgePolicy.load(file) }
        #expect(found.map(\.key) == ["pms_writer"])
    }
}
