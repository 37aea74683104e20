import Testing

@testable import Policy

@Suite("rate-limits.yaml")
struct RateLimitPolicyTests {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    private func load(_ text: String) throws -> RateLimitPolicy {
        try RateLimitPolicy.load(directory.write(text, to: "rate-limits.yaml"), installation: directory.path)
    }

    private func found(_ text: String) throws -> [String] {
        let file = try directory.write(text, to: "rate-limits.yaml")
        return mistakes { () throws(PolicyError) in _ = try RateLimitPolicy.load(file, installation: "/i") }
            .map { "\($0.line): \($0.key)" }
    }

    @Test("The repository's is in order")
    func repository() throws {
        let policy = try RateLimitPolicy.load(
            TemporaryDirectory.repository + "/rate-limits.yaml", installation: directory.path)
        #expect(policy.classes.map(\.name) == ["address", "client", "booking", "cache", "access"])
        #expect(policy.beforeAuthentication == ["address"])
        #expect(policy.always == ["client"])
        #expect(policy.redis == nil)
        #expect(policy.table == RateLimitPolicy.Table(file: directory.path + "/run/rate-limits.table", cells: 65_536))
    }

    @Test("Redis is reached as it says, with what the files hold")
    func redis() throws {
        try directory.write("open sesame\n", to: "keys/password")
        let policy = try load(
            """
            classes: []
            redis: {url: "redis://[::1]:6379", user: u, password_file: keys/password, fallback: deny, deadline: 20 ms}
            """)
        let redis = try #require(policy.redis)
        #expect(redis.endpoint == .tcp(try #require(SocketAddress("[::1]:6379"))))
        #expect(redis.password == "open sesame")
        #expect(redis.secret.isEmpty)
        #expect(redis.fallback == .deny)
        #expect(redis.deadline == .milliseconds(20))
        #expect(
            try load("classes: []\nredis: {url: 'unix:run/r.sock', fallback: allow}").redis?.endpoint
                == .unix(directory.path + "/run/r.sock"))
    }

    @Test(
        "Mistakes are found, each in its place",
        arguments: [
            ("x: 1\nclasses: []", ["1: x"]), ("{}", ["1: classes"]),
            ("classes: [{name: a b, burst: 1, requests: 1, per: 1 s}]", ["1: classes[0]"]),
            ("classes: [{name: a~b, burst: 1, requests: 1, per: 1 s}]", ["1: classes[0]"]),
            ("classes: [{name: a, burst: 0, requests: 1, per: 1 s}]", ["1: classes[0].burst"]),
            ("classes: [{name: a, burst: 1, requests: 0, per: 1 s}]", ["1: classes[0].requests"]),
            ("classes: [{name: a, burst: 1, requests: 1}]", ["1: classes[0].per"]),
            ("classes: [{name: a, burst: 1, requests: 1, per: 91 days}]", ["1: classes[0].per"]),
            ("classes: [{name: a, burst: 91, requests: 1, per: 1 day}]", ["1: classes[0]"]),
            ("classes: [{name: a, burst: 1, requests: 1, per: 1 s, by: [client]}]", ["1: classes[0].by[0]"]),
            ("classes: [{name: a, burst: 1, requests: 1, per: 1 s, by: [route, route]}]", ["1: classes[0].by[1]"]),
            (
                "classes:\n- {name: a, burst: 1, requests: 1, per: 1 s}\n- {name: a, burst: 1, requests: 1, per: 1 s}",
                ["3: classes[1]"]
            ),
            ("classes: []\nalways: [a]", ["2: always[0]"]),
            (
                "classes: [{name: a, burst: 1, requests: 1, per: 1 s, by: [principal]}]\nbefore_authentication: [a]",
                ["2: before_authentication[0]"]
            ),
            (
                "classes: [{name: a, burst: 1, requests: 1, per: 1 s}]\nbefore_authentication: [a]\nalways: [a]",
                ["3: always[0]"]
            ),
            ("classes: []\ntable: {cells: 1}", ["2: table.cells"]),
            ("classes: []\ntable: {file: /etc/table}", ["2: table.file"]),
            ("classes: []\ntable: {file: run/../table}", ["2: table.file"]),
            ("classes: []\nredis: {url: 'redis://localhost:6379', fallback: local}", ["2: redis.url"]),
            ("classes: []\nredis: {url: 'redis://127.0.0.1:6379'}", ["2: redis.fallback"]),
            ("classes: []\nredis: {url: 'unix:/x', fallback: maybe}", ["2: redis.fallback"]),
            (
                "classes: []\nredis: {url: 'unix:/x', fallback: deny, password_file: nothing}",
                ["2: redis.password_file"]
            ),
        ])
    func refused(text: String, places: [String]) throws { #expect(try found(text) == places) }
}

@Suite("addresses.yaml")
struct AddressPolicyTests {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    private func load(_ text: String) throws -> AddressPolicy {
        try AddressPolicy.load(directory.write(text, to: "addresses.yaml"))
    }

    @Test("The repository's lets everybody in")
    func repository() throws {
        let policy = try AddressPolicy.load(TemporaryDirectory.repository + "/addresses.yaml", listeners: ["public"])
        for address in ["127.0.0.1", "2001:db8::1", ""] { #expect(policy.admits(address, listener: "public")) }
    }

    @Test(
        "An address is within a network or not",
        arguments: [
            ("192.0.2.0/24", "192.0.2.255", true), ("192.0.2.0/24", "192.0.3.0", false),
            ("192.0.2.7", "192.0.2.7", true),
            ("0.0.0.0/0", "203.0.113.9", true), ("0.0.0.0/0", "2001:db8::1", false), ("::/0", "203.0.113.9", false),
            ("2001:db8::/32", "2001:db8:ffff::1", true), ("2001:db8::/32", "2001:db9::", false), ("::1", "::1", true),
            ("fe80::/10", "fe80::1%eth0", true), ("192.0.2.0/24", "::ffff:192.0.2.1", true),
            ("10.0.0.0/31", "10.0.0.1", true), ("10.0.0.0/31", "10.0.0.2", false),
        ])
    func networks(network: String, address: String, isWithin: Bool) throws {
        #expect(try load("deny: ['\(network)']").admits(address, listener: "x") == !isWithin)
        #expect(try load("allow: ['\(network)']").admits(address, listener: "x") == isWithin)
        #expect(try load("listeners: [{name: x, allow: ['\(network)']}]").admits(address, listener: "x") == isWithin)
        #expect(try load("listeners: [{name: x, allow: ['\(network)']}]").admits(address, listener: "y"))
    }

    @Test("Denying goes over allowing, and what has no address is only let in where nobody must be on a list")
    func order() throws {
        let policy = try load("allow: [192.0.2.0/24]\ndeny: [192.0.2.7]")
        #expect(policy.admits("192.0.2.8", listener: "x"))
        #expect(!policy.admits("192.0.2.7", listener: "x"))
        #expect(!policy.admits("", listener: "x"))
        #expect(try load("deny: ['::/0']").admits("", listener: "x"))
    }

    @Test(
        "What is no network is refused",
        arguments: [
            "192.0.2.1/24", "192.0.2.0/33", "192.0.2.0/", "192.0.2", "2001:db8::1/32", "::/129", "example.com",
            "10.0.0.0/8/8",
            "192.0.2.0/+24", "",
        ])
    func refused(text: String) throws {
        let file = try directory.write("deny: ['\(text)']", to: "addresses.yaml")
        #expect(mistakes { () throws(PolicyError) in _ = try AddressPolicy.load(file) }.map(\.key) == ["deny[0]"])
    }

    @Test("A listener that is not there, or stands twice, is refused")
    func listeners() throws {
        let file = try directory.write("listeners: [{name: a}, {name: a}, {name: b}, {}]", to: "addresses.yaml")
        let found = mistakes { () throws(PolicyError) in _ = try AddressPolicy.load(file, listeners: ["a"]) }
        #expect(found.map(\.key) == ["listeners[1]", "listeners[2]", "listeners[3].name", "listeners[3]"])
    }
}

@Suite("Policies that name each other")
struct CrossPolicyTests {
    @Test("A route may name a class that is there and is not asked anyway, and a list of them")
    func rateClasses() throws {
        let directory = try TemporaryDirectory()
        func description(_ rateClass: String) -> String {
            """
            openapi: 3.1.0
            paths:
              /a:
                get:
                  operationId: listHotels
                  x-drawbridge: {auth: [jwt], scopes: [admin], hotel: none, rate_class: \(rateClass)}
            """
        }
        try directory.write(
            """
            classes:
              - {name: a, burst: 1, requests: 1, per: 1 s}
              - {name: b, burst: 1, requests: 1, per: 1 s}
              - {name: c, burst: 1, requests: 1, per: 1 s}
            always: [c]
            """, to: "rate-limits.yaml")
        let policies = PolicyDirectory(path: directory.path, installation: directory.path)
        for (text, classes) in [("a", ["a"]), ("[a, b]", ["a", "b"])] {
            try directory.write(description(text), to: "openapi.yaml")
            #expect(try policies.routes().routes.first?.terms.rateClasses == classes)
        }
        for text in ["d", "c", "[a, d]", "[]", "{}"] {
            try directory.write(description(text), to: "openapi.yaml")
            let found = mistakes { () throws(PolicyError) in _ = try policies.routes() }
            #expect(found.map(\.line) == [6], "\(text)")
        }
    }
}
