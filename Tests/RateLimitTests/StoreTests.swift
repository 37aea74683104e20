import Loop
import Testing

@testable import RateLimit

/// What every store keeps, run over each.
@Suite struct StoreTests {
    enum Kind: CaseIterable { case table, redis }
    typealias Check = @OnLoop ([Charge]) async throws -> Verdict

    init() { Loop.runInBackground() }

    @OnLoop
    private func with(_ kind: Kind, _ body: @OnLoop (Check) async throws -> Void) async throws {
        switch kind {
        case .table:
            let directory = TemporaryDirectory()
            let table = try SharedTable(path: directory.path + "/limits", capacity: 1024)
            try await body { table.check($0) }
        case .redis: try await RedisServer.with { _, store in try await body { try await store.check($0) } }
        }
    }

    @Test("A burst is allowed and then refused, each key for itself", arguments: Kind.allCases)
    @OnLoop func burst(kind: Kind) async throws {
        try await with(kind) { check in
            let limit = limit(burst: 3, per: .seconds(100))
            for left in [2, 1, 0] { #expect(try await check([limit.charge("a")]).tightest?.remaining == left) }
            let refused = try await check([limit.charge("a")])
            #expect(!refused.isAllowed && (95...100).contains(refused.retryAfter ?? 0))
            #expect(try await check([limit.charge("b")]).isAllowed)
        }
    }

    @Test("A refused request uses up nothing of the other limits", arguments: Kind.allCases)
    @OnLoop func allOrNothing(kind: Kind) async throws {
        try await with(kind) { check in
            let wide = limit("wide", burst: 5, per: .seconds(1000))
            let narrow = limit("narrow", burst: 1, per: .seconds(1000))
            for order in [[wide, narrow], [narrow, wide]] {
                let name = order[0].name
                #expect(try await check(order.map { $0.charge(name) }).isAllowed)
                for _ in 0..<10 {
                    let refused = try await check(order.map { $0.charge(name) })
                    #expect(refused.violatedPolicies == ["narrow"] && refused.tightest?.name == "narrow")
                }
                for left in [3, 2, 1, 0] {
                    #expect(try await check([wide.charge(name)]).tightest?.remaining == left)
                }
            }
        }
    }

    @Test("What was used is given back with time", arguments: Kind.allCases)
    @OnLoop func recovery(kind: Kind) async throws {
        try await with(kind) { check in
            // Longer than a slow machine takes from one request to the next.
            let limit = limit(burst: 1, per: .seconds(1))
            #expect(try await check([limit.charge("a")]).isAllowed)
            let refused = try await check([limit.charge("a")])
            #expect(!refused.isAllowed)
            try await Loop.sleep(for: .nanoseconds(Int64(refused.states[0].untilNext)))
            #expect(try await check([limit.charge("a")]).isAllowed)
        }
    }

    @Test("The longest window is counted to the nanosecond", arguments: Kind.allCases)
    @OnLoop func exactness(kind: Kind) async throws {
        try await with(kind) { check in
            let limit = limit(burst: 90, per: .seconds(86_400))
            for _ in 0..<90 { #expect(try await check([limit.charge("a")]).isAllowed) }
            let refused = try await check([limit.charge("a")])
            #expect(!refused.isAllowed && refused.states[0].backlog <= limit.quota.window)
            #expect(refused.retryAfter == 86_400)
        }
    }

    @Test("No limit at all allows", arguments: Kind.allCases)
    @OnLoop func none(kind: Kind) async throws {
        try await with(kind) { check in
            let verdict = try await check([])
            #expect(verdict.isAllowed)
        }
    }
}
