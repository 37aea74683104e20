import Loop
import TLS
import Testing

/// What `openssl s_client` and `curl` make of our server.
@Suite struct ForeignClientTests {
    init() { Loop.runInBackground() }

    struct Case: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let minimumVersion: TLSVersion
        let arguments: [String]
        /// What must stand in the output of a client that succeeds; nil when it must fail.
        let expected: String?
    }

    static let cases = [
        Case(testDescription: "TLS 1.3", minimumVersion: .tls13, arguments: ["-tls1_3"], expected: "TLSv1.3"),
        Case(testDescription: "TLS 1.2 by default", minimumVersion: .tls13, arguments: ["-tls1_2"], expected: nil),
        Case(
            testDescription: "TLS 1.2 configured", minimumVersion: .tls12, arguments: ["-tls1_2"], expected: "TLSv1.2"),
        Case(
            testDescription: "TLS 1.1", minimumVersion: .tls12, arguments: ["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"],
            expected: nil),
        Case(
            testDescription: "TLS 1.2 without forward secrecy or AEAD", minimumVersion: .tls12,
            arguments: ["-tls1_2", "-cipher", "kRSA:AES128-SHA:ECDHE-ECDSA-AES128-SHA"], expected: nil),
        Case(
            testDescription: "ALPN http/1.1", minimumVersion: .tls13, arguments: ["-alpn", "h2,http/1.1"],
            expected: "ALPN protocol: http/1.1"),
        Case(testDescription: "ALPN h2 only", minimumVersion: .tls13, arguments: ["-alpn", "h2"], expected: nil),
        Case(
            testDescription: "no early data", minimumVersion: .tls13, arguments: ["-tls1_3"],
            expected: "Early data was not sent"),
        Case(
            testDescription: "no compression, no renegotiation", minimumVersion: .tls12,
            arguments: ["-tls1_2", "-comp"],
            expected: "Compression: NONE"),
    ]

    @Test("openssl s_client", arguments: cases)
    @OnLoop func openssl(_ test: Case) async throws {
        let certificates = Certificates()
        try await certificates.make("server")
        let server = try EchoServer(certificates, minimumVersion: test.minimumVersion)
        let (exit, output) = try await run(
            "openssl",
            [
                "s_client", "-connect", "127.0.0.1:\(server.port)", "-servername", "localhost", "-CAfile",
                certificates.path("server.pem"), "-verify_return_error",
            ] + test.arguments)
        #expect(exit.isSuccess == (test.expected != nil), "\(output)")
        if let expected = test.expected { #expect(output.contains(expected)) }
        await server.stop()
        try await certificates.remove()
    }

    @Test("curl")
    @OnLoop func curl() async throws {
        let certificates = Certificates()
        try await certificates.make("server")
        let server = try EchoServer(certificates)
        let (exit, output) = try await run(
            "curl",
            [
                "-sS", "--cacert", certificates.path("server.pem"), "https://localhost:\(server.port)/",
                "--resolve", "localhost:\(server.port):127.0.0.1",
            ])
        #expect(exit.isSuccess)
        #expect(output == "secure")
        await server.stop()
        try await certificates.remove()
    }
}
