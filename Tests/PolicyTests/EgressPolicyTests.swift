import Egress
import Testing

@testable import Policy

@Suite("egress.yaml")
struct EgressPolicyTests {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    private func load(_ text: String) throws -> EgressPolicy {
        try EgressPolicy.load(directory.write(text, to: "egress.yaml"), installation: directory.path)
    }

    @Test("The repository's file says what holds without one")
    func repository() throws {
        let policy = try EgressPolicy.load(TemporaryDirectory.repository + "/egress.yaml", installation: "/")
        #expect(policy.egressGuard == EgressGuard())
        #expect(policy.terms == SendingTerms())
        #expect(try load("{}") == policy)
    }

    @Test("What is written is taken")
    func values() throws {
        try directory.write("x", to: "tls/receivers.pem")
        let policy = try load(
            """
            schemes: [https, http]
            ports: [80, "443", 8000-8999]
            allow: [10.20.0.0/16, "fd12::/16", Erp.Hotel.Internal]
            deny: [10.20.30.0/24]
            proxy: http://10.0.0.7:3128
            authorities: tls/receivers.pem
            deadlines: {connect: 2 s, content: 3 s, total: 30 s}
            maximum_answer: 4 KiB
            http2: false
            connections: {per_host: 2, total: 20}
            requests: {per_host: 30, waiting: 40}
            """)
        #expect(policy.egressGuard.allowsPlain)
        #expect(policy.egressGuard.ports == [80...80, 443...443, 8000...8999])
        #expect(policy.egressGuard.allowed.hosts == ["erp.hotel.internal"])
        #expect(policy.egressGuard.allowed.networks.map(\.description) == ["10.20.0.0/16", "fd12::/16"])
        #expect(policy.egressGuard.denied.map(\.description) == ["10.20.30.0/24"])
        #expect(policy.terms.proxy?.url == "http://10.0.0.7:3128")
        #expect(policy.terms.authoritiesFile == "\(directory.path)/tls/receivers.pem")
        #expect(policy.terms.connectDeadline == .seconds(2) && policy.terms.totalDeadline == .seconds(30))
        #expect(policy.terms.contentDeadline == .seconds(3))
        #expect(policy.terms.maximumAnswer == 4096 && !policy.terms.usesHTTP2)
        #expect(policy.terms.connectionsPerHost == 2 && policy.terms.connections == 20)
        #expect(policy.terms.requestsPerHost == 30 && policy.terms.waiting == 40)
    }

    @Test("What stands for one endpoint widens where that one may be sent to, and no other")
    func endpoints() throws {
        let policy = try load(
            """
            endpoints:
              0B4F6C1E-7d7a-4f0e-9c55-6f1f2ab6a0d1: [10.20.0.7, Erp.Hotel.Internal]
              11111111-7d7a-4f0e-9c55-6f1f2ab6a0d1: [fd12::/16]
              22222222-7d7a-4f0e-9c55-6f1f2ab6a0d1: []
            """)
        let own = policy.allowed(for: "0b4f6c1e-7d7a-4f0e-9c55-6f1f2ab6a0d1")
        #expect(own == AllowList(["10.20.0.7", "erp.hotel.internal"]))
        #expect(policy.allowed(for: "0B4F6C1E-7D7A-4F0E-9C55-6F1F2AB6A0D1") == own)
        #expect(policy.allowed(for: "22222222-7d7a-4f0e-9c55-6f1f2ab6a0d1") == AllowList())
        #expect(policy.allowed(for: "33333333-7d7a-4f0e-9c55-6f1f2ab6a0d1") == AllowList())
        #expect(policy.egressGuard.allowed == AllowList())
        let url = "https://10.20.0.7/"
        _ = try policy.egressGuard.destination(url, allowing: own)
        let other = policy.allowed(for: "11111111-7d7a-4f0e-9c55-6f1f2ab6a0d1")
        #expect(throws: EgressRefusal.self) { try policy.egressGuard.destination(url, allowing: other) }
    }

    @Test("What is not said fits what is")
    func defaults() throws {
        #expect(try load("deadlines: {total: 2 s}").terms.connectDeadline == .seconds(2))
        #expect(try load("deadlines: {total: 500 ms}").terms.contentDeadline == .milliseconds(500))
        #expect(try load("connections: {total: 3}").terms.connectionsPerHost == 3)
        let secure = try load("schemes: [https]")
        #expect(!secure.egressGuard.allowsPlain)
    }

    @Test(
        "Impossible values are refused, where they stand",
        arguments: [
            ("schemes: [ftp]", "schemes[0]"), ("schemes: []", "schemes"), ("schemes: https", "schemes"),
            ("ports: [0]", "ports[0]"), ("ports: [65536]", "ports[0]"), ("ports: [443, 9-8]", "ports[1]"),
            ("ports: [1-2-3]", "ports[0]"), ("ports: ['-1']", "ports[0]"), ("ports: ['']", "ports[0]"),
            ("ports: [+1]", "ports[0]"), ("ports: []", "ports"), ("allow: [10.0.0.1/8]", "allow[0]"),
            ("allow: ['*.internal']", "allow[0]"), ("allow: [127.1]", "allow[0]"), ("allow: x", "allow"),
            ("deny: [example.com]", "deny[0]"), ("proxy: https://10.0.0.7/", "proxy"),
            ("proxy: 10.0.0.7:3128", "proxy"),
            ("authorities: nothing.pem", "authorities"), ("deadlines: {connect: 16 s}", "deadlines.connect"),
            ("deadlines: {total: 301 s}", "deadlines.total"), ("deadlines: {total: 1}", "deadlines.total"),
            ("deadlines: {read: 1 s}", "deadlines.read"), ("maximum_answer: 2 MiB", "maximum_answer"),
            ("http2: yes", "http2"), ("connections: {per_host: 2049}", "connections.per_host"),
            ("connections: {total: 0}", "connections.total"), ("redirects: 1", "redirects"),
            ("requests: {per_host: 0}", "requests.per_host"), ("requests: {waiting: -1}", "requests.waiting"),
            ("endpoints: []", "endpoints"), ("endpoints: {x: []}", "endpoints.x"),
            (
                "endpoints: {0b4f6c1e-7d7a-4f0e-9c55-6f1f2ab6a0d1: 10.0.0.1}",
                "endpoints.0b4f6c1e-7d7a-4f0e-9c55-6f1f2ab6a0d1"
            ),
            (
                "endpoints: {0b4f6c1e-7d7a-4f0e-9c55-6f1f2ab6a0d1: [127.1]}",
                "endpoints.0b4f6c1e-7d7a-4f0e-9c55-6f1f2ab6a0d1[0]"
            ),
            (
                "endpoints: {0b4f6c1e-7d7a-4f0e-9c55-6f1f2ab6a0d1: [], 0B4f6c1e-7d7a-4f0e-9c55-6f1f2ab6a0d1: []}",
                "endpoints.0B4f6c1e-7d7a-4f0e-9c55-6f1f2ab6a0d1"
            ),
        ])
    func refused(text: String, key: String) throws {
        let file = try directory.write("\n" + text, to: "egress.yaml")
        let found = mistakes { () throws(PolicyError) in
            _ = try EgressPolicy.load(file, installation: directory.path)
        }
        #expect(found.map(\.key) == [key] && found.map(\.line) == [2], "\(found)")
    }

    @Test("All mistakes are told at once")
    func several() throws {
        let file = try directory.write("ports: [0]\nallow: ['']\nhttp2: 2\n", to: "egress.yaml")
        let found = mistakes { () throws(PolicyError) in
            _ = try EgressPolicy.load(file, installation: directory.path)
        }
        #expect(found.map(\.line) == [1, 2, 3])
    }

    @Test("Authorities that are none are found when the policies are checked")
    func authorities() throws {
        try directory.write("no certificate", to: "receivers.pem")
        try directory.write("authorities: receivers.pem", to: "egress.yaml")
        let found = mistakes { () throws(PolicyError) in
            try PolicyDirectory(path: directory.path, installation: directory.path).check()
        }
        #expect(found.contains { $0.file.hasSuffix("egress.yaml") && $0.key == "authorities" })
    }
}
