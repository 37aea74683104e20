import HTTP
import Loop
import Synchronization
import Testing

@testable import Firewall

/// The shell: modes, threads, bounds, and what is remembered.
@Suite struct FirewallTests {
    private static let ordinary = TestRequest.get("/api/x?q=1").request
    private static let attack = TestRequest.get("/api/x?q=1'%20OR%20'1'='1").request
    private static let on = FirewallSettings()

    init() { Loop.runInBackground() }

    @Test("On refuses, DetectionOnly records and lets through, Off does not look")
    @OnLoop func modes() async throws {
        let firewall = Firewall(EngineKind.secLang.engine, .committed)
        let refused = try await firewall.inspect(Self.attack, FirewallSettings(mode: .on))
        let detected = try await firewall.inspect(Self.attack, FirewallSettings(mode: .detectionOnly))
        let unseen = try await firewall.inspect(Self.attack, FirewallSettings(mode: .off))
        #expect(refused.decision == .refused(.forbidden))
        #expect(detected.decision == .detected(.forbidden) && detected.finding == refused.finding)
        #expect(unseen.decision == .allowed && unseen.finding == nil)
    }

    @Test("The same request with little content is judged once, whatever token and ids it carries")
    @OnLoop func memory() async throws {
        let engine = StubEngine()
        let firewall = Firewall(engine, FirewallPolicy(directory: ""))
        for index in 0..<5 {
            var request = Self.ordinary
            request.head.fields.remove(.authorization)
            request.head.fields.append(.authorization, "Bearer abc.def.\(index)")
            request.head.fields.append(.traceparent, "00-\(index)-1-01")
            request.head.fields.append(.idempotencyKey, "key-\(index)")
            request.clientPort = UInt16(index)
            #expect(try await firewall.inspect(request, Self.on).isRemembered == (index > 0))
        }
        #expect(engine.count == 1)
        for index in 0..<5 {
            var request = TestRequest.json("{}", .put, "/bookings/\(index)a/b\(index)").request
            request.ids[0] = 10..<12
            request.ids[1] = 13..<15
            #expect(try await firewall.inspect(request, Self.on).isRemembered == (index > 0))
        }
        #expect(engine.count == 2)
    }

    @Test("What the rules are shown tells requests apart")
    @OnLoop func differences() async throws {
        let engine = StubEngine()
        let firewall = Firewall(engine, FirewallPolicy(directory: ""))
        let variants: [TestRequest] = [
            .get("/a"), .get("/b"), .get("/a?x=1"), .get("/a?x=2"), .get("/a", ("X", "1")), .get("/a", ("X", "2")),
            .get("/a", ("X", "1"), ("Y", "2")), .get("/a", ("Y", "2"), ("X", "1")), .get("/a", ("Cookie", "a=1")),
            .get("/a", ("Authorization", "Bearer a'b")), TestRequest(method: .head, target: "/a"),
            .json("{}"), .json("[]"), .json(#"{"a":1}"#),
        ]
        for variant in variants { #expect(try await !firewall.inspect(variant.request, Self.on).isRemembered) }
        let others = [FirewallSettings(paranoiaLevel: 2), FirewallSettings(inboundThreshold: 9)]
        for settings in others {
            #expect(try await !firewall.inspect(variants[0].request, settings).isRemembered)
        }
        #expect(engine.count == variants.count + others.count)
    }

    @Test("Nothing is remembered of requests with much content, nor where rules look at more than the request")
    @OnLoop func unremembered() async throws {
        let engine = StubEngine()
        let firewall = Firewall(engine, FirewallPolicy(directory: ""))
        let content = TestRequest.json(#"{"comment":"as before"}"#).request
        for _ in 0..<2 { #expect(try await !firewall.inspect(content, Self.on).isRemembered) }
        let circumstantial = Firewall(StubEngine(dependsOnCircumstances: true), FirewallPolicy(directory: ""))
        for _ in 0..<2 { #expect(try await !circumstantial.inspect(Self.ordinary, Self.on).isRemembered) }
        let incomplete = Firewall(StubEngine(isComplete: false), FirewallPolicy(directory: ""))
        for _ in 0..<2 { #expect(try await !incomplete.inspect(Self.ordinary, Self.on).isRemembered) }
    }

    /// A request with more than little content.
    private static func content(_ number: Int) -> FirewallRequest {
        TestRequest.json(#"{"comment":"number \#(number)"}"#).request
    }

    @Test("The loop goes on while inspections run, and one too many is refused")
    @OnLoop func overload() async throws {
        var policy = FirewallPolicy(directory: "")
        policy.maximumConcurrent = 1
        policy.maximumWaiting = 2
        let engine = StubEngine()
        engine.gate.withLock { $0 = true }
        let firewall = Firewall(engine, policy)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for index in 0..<3 {
                group.addTask {
                    _ = try await firewall.inspect(Self.content(index), Self.on)
                }
            }
            while firewall.waiting < 2 { try await Loop.sleep(for: .milliseconds(1)) }
            let error = await #expect(throws: FirewallError.self) {
                _ = try await firewall.inspect(Self.content(3), Self.on)
            }
            #expect(error?.code == .overloaded)
            engine.gate.withLock { $0 = false }
            try await group.waitForAll()
        }
        #expect(engine.count == 3 && engine.most == 1)
    }

    @Test("Where rules look at more than the request, one inspection runs at a time")
    @OnLoop func serial() async throws {
        let engine = StubEngine(dependsOnCircumstances: true)
        engine.gate.withLock { $0 = true }
        let firewall = Firewall(engine, FirewallPolicy(directory: ""))
        try await withThrowingTaskGroup(of: Void.self) { group in
            for request in [Self.ordinary, Self.content(1), Self.attack] {
                group.addTask {
                    _ = try await firewall.inspect(request, Self.on)
                }
            }
            while firewall.waiting < 2 { try await Loop.sleep(for: .milliseconds(1)) }
            engine.gate.withLock { $0 = false }
            try await group.waitForAll()
        }
        #expect(engine.count == 3 && engine.most == 1)
    }

    @Test("One who has waited long enough for a thread is refused")
    @OnLoop func patience() async throws {
        var policy = FirewallPolicy(directory: "")
        policy.maximumConcurrent = 1
        policy.patience = .milliseconds(1)
        let engine = StubEngine()
        engine.gate.withLock { $0 = true }
        let firewall = Firewall(engine, policy)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                _ = try await firewall.inspect(Self.content(1), Self.on)
            }
            while engine.running == 0 { try await Loop.sleep(for: .milliseconds(1)) }
            let error = await #expect(throws: FirewallError.self) {
                _ = try await firewall.inspect(Self.content(2), Self.on)
            }
            #expect(error?.code == .overloaded && firewall.waiting == 0)
            engine.gate.withLock { $0 = false }
            try await group.waitForAll()
        }
    }

    @Test("What takes too long on the loop is judged beside it, and what takes too long there is refused")
    @OnLoop func timeOnLoop() async throws {
        let hard = StubEngine(isHardOnLoop: true)
        let verdict = try await Firewall(hard, FirewallPolicy(directory: "")).inspect(Self.ordinary, Self.on)
        #expect(verdict.decision == .allowed && hard.count == 1)
        let costly = TestRequest.get("/api/x?q=" + String(repeating: "%3C%21", count: 1300)).request
        let refused = try await Firewall(EngineKind.secLang.engine, .committed).inspect(costly, Self.on)
        #expect(refused.decision == .refused(.forbidden) && refused.finding?.isComplete == false)
    }

    @Test("One who no longer waits holds nobody up")
    @OnLoop func cancellation() async throws {
        var policy = FirewallPolicy(directory: "")
        policy.maximumConcurrent = 1
        let engine = StubEngine()
        engine.gate.withLock { $0 = true }
        let firewall = Firewall(engine, policy)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                _ = try await firewall.inspect(Self.content(1), Self.on)
            }
            while engine.running == 0 { try await Loop.sleep(for: .milliseconds(1)) }
            let waiting = Task {
                _ = try await firewall.inspect(Self.content(2), Self.on)
            }
            while firewall.waiting < 1 { try await Loop.sleep(for: .milliseconds(1)) }
            waiting.cancel()
            await #expect(throws: CancellationError.self) { try await waiting.value }
            #expect(firewall.waiting == 0)
            engine.gate.withLock { $0 = false }
            try await group.waitForAll()
        }
        _ = try await firewall.inspect(Self.ordinary, Self.on)
        #expect(engine.count == 2)
    }
}

/// An engine that counts what it is asked, and can be held up.
private final class StubEngine: FirewallEngine {
    let dependsOnCircumstances: Bool
    let gate = Mutex(false)
    private let isComplete: Bool
    /// Whether nothing is done within the time that there is on the loop.
    private let isHardOnLoop: Bool
    private let counts = Mutex((all: 0, running: 0, most: 0))

    init(dependsOnCircumstances: Bool = false, isComplete: Bool = true, isHardOnLoop: Bool = false) {
        self.isHardOnLoop = isHardOnLoop
        self.dependsOnCircumstances = dependsOnCircumstances
        self.isComplete = isComplete
    }

    var count: Int { counts.withLock { $0.all } }
    var running: Int { counts.withLock { $0.running } }
    var most: Int { counts.withLock { $0.most } }

    func inspect(
        _ request: FirewallRequest, _ settings: FirewallSettings, within bound: Duration
    ) throws(FirewallError) -> Finding {
        if bound < .milliseconds(10) && isHardOnLoop { return Finding(isComplete: false) }
        counts.withLock { counts in
            counts.all += 1
            counts.running += 1
            counts.most = max(counts.most, counts.running)
        }
        while gate.withLock({ $0 }) {}
        counts.withLock { $0.running -= 1 }
        return Finding(isComplete: isComplete)
    }
}

/// What is remembered keeps its bounds, and what is asked for often.
@Suite struct VerdictCacheTests {
    private func key(_ target: String, _ cache: VerdictCache) -> VerdictCache.Key {
        cache.key(TestRequest.get(target).request, FirewallSettings())!
    }

    @Test("It holds no more entries and bytes than it may")
    func bounds() {
        var few = VerdictCache(maximumEntries: 10, maximumBytes: 1 << 20)
        var small = VerdictCache(maximumEntries: 1000, maximumBytes: 8 << 10)
        for index in 0..<500 {
            few.insert(Finding(), for: key("/\(index)", few))
            small.insert(
                Finding(matches: [RuleMatch(rule: 1, variable: "ARGS", score: 5)]), for: key("/\(index)", small))
            #expect(few.count <= 10 && small.bytes <= 8 << 10)
        }
        #expect(few.count == 10 && small.count > 5)
    }

    @Test("What is asked for again and again outlives a flood")
    func flood() {
        var cache = VerdictCache(maximumEntries: 16, maximumBytes: 1 << 20)
        let often = key("/often", cache)
        cache.insert(Finding(inboundScore: 3), for: often)
        for index in 0..<1000 {
            #expect(cache.finding(for: often)?.inboundScore == 3)
            cache.insert(Finding(), for: key("/\(index)", cache))
        }
    }

    @Test("A request with much content, or a very large one, has no key")
    func noKey() {
        let cache = VerdictCache(maximumEntries: 16, maximumBytes: 1 << 20)
        let large = TestRequest.get("/?" + String(repeating: "a", count: 9000))
        #expect(cache.key(TestRequest.json(#"{"a":"123456789"}"#).request, FirewallSettings()) == nil)
        #expect(cache.key(TestRequest.json(#"{"a":"12345678"}"#).request, FirewallSettings()) != nil)
        #expect(cache.key(large.request, FirewallSettings()) == nil)
        let none = VerdictCache(maximumEntries: 0, maximumBytes: 1 << 20)
        #expect(none.key(TestRequest.get("/").request, FirewallSettings()) == nil)
    }

    @Test("Of an id in the path rules see zeros, and of the rest what was sent, encoded question marks twice")
    func target() {
        func shown(_ target: String, _ ids: Range<Int>...) -> String {
            var request = TestRequest.get(target).request
            for (index, range) in ids.enumerated() { request.ids[index] = range }
            var bytes = Array("x".utf8)
            InspectedTarget.append(request, to: &bytes)
            return String(decoding: bytes.dropFirst(), as: UTF8.self)
        }
        let id = "0b5e7a3c-59a8-4C0E-9a3e-0f6f2f4c8f11"
        #expect(shown("/b/\(id)/c?a=\(id)", 3..<39) == "/b/00000000-0000-0000-0000-000000000000/c?a=\(id)")
        #expect(shown("/h/17/t/204?x=%3f", 3..<5, 8..<11) == "/h/00/t/000?x=%3f")
        #expect(shown("/h/17") == "/h/17")
        #expect(shown("/a%3Fb%3f%41?c%3F") == "/a%253Fb%253f%41?c%3F")
        #expect(shown("/9%3F1", 1..<2) == "/0%253F1")
    }

    @Test("Credentials are shown to the rules when there is more in them than letters and digits")
    func exposure() {
        func isShown(_ name: String, _ value: String) -> Bool {
            var fields = Fields()
            fields.append(name, value)
            return FieldExposure.isShown(fields[0])
        }
        #expect(!isShown("Authorization", TestRequest.token) && !isShown("X-API-Key", "db_live-1.x"))
        #expect(!isShown("traceparent", "00-4bf9-00f0-01") && !isShown("X-Request-Id", "a1"))
        #expect(!isShown("Idempotency-Key", "5e2f-1") && isShown("Idempotency-Key", "a'b"))
        #expect(isShown("Authorization", "Bearer a'b") && isShown("Authorization", "Basic YTpi/+=="))
        #expect(isShown("Authorization", "Bearer a b") && isShown("X-Request-Id", "${jndi:x}"))
        #expect(isShown("tracestate", "a") && isShown("Cookie", "a"))
    }
}
