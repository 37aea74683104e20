import Loop
import TLS
import Testing

@Suite struct ReloadTests {
    init() { Loop.runInBackground() }

    @Test("After a reload new connections get the new certificate and open ones go on")
    @OnLoop func reload() async throws {
        let certificates = Certificates()
        try await certificates.make("first")
        try await certificates.make("second")
        for kind in ["pem", "key"] { try certificates.copy("first.\(kind)", to: "server.\(kind)") }
        let server = try EchoServer(certificates)
        let firstClient = try TLSClientContext(authoritiesPath: certificates.path("first.pem"))
        let secondClient = try TLSClientContext(authoritiesPath: certificates.path("second.pem"))
        let open = try await server.connect()
        try await firstClient.makeSession(host: "localhost").handshake(on: open)

        for kind in ["pem", "key"] { try certificates.copy("second.\(kind)", to: "server.\(kind)") }
        try server.context.reload()

        try await open.write(Array("still".utf8))
        #expect(try await open.text(5) == "still")
        let new = try await server.connect()
        try await secondClient.makeSession(host: "localhost").handshake(on: new)
        open.close()
        new.close()
        await server.stop()
        try await certificates.remove()
    }

    @Test("A reload that fails says why and leaves the old certificate in force")
    @OnLoop func failures() async throws {
        let certificates = Certificates()
        try await certificates.make("server")
        try await certificates.make("other")
        let server = try EchoServer(certificates)
        let client = try TLSClientContext(authoritiesPath: certificates.path("server.pem"))
        let key = try certificates.read("server.key")

        try certificates.copy("other.key", to: "server.key")
        #expect(code { try server.context.reload() } == .keyMismatch)
        try certificates.write("server.key", Array("no key".utf8))
        #expect(code { try server.context.reload() } == .fileInvalid)
        _ = try await run("rm", [certificates.path("server.key")])
        #expect(code { try server.context.reload() } == .fileMissing)

        let stream = try await server.connect()
        try await client.makeSession(host: "localhost").handshake(on: stream)
        stream.close()
        try certificates.write("server.key", key)
        try server.context.reload()
        await server.stop()
        try await certificates.remove()
    }

    @Test("An expired certificate is used, with a warning")
    @OnLoop func expired() async throws {
        let certificates = Certificates()
        try await certificates.make("server", days: 1)
        try await certificates.openssl([
            "x509", "-in", certificates.path("server.pem"), "-signkey", certificates.path("server.key"),
            "-days", "-1", "-out", certificates.path("expired.pem"),
        ])
        try certificates.copy("server.key", to: "expired.key")
        let server = try EchoServer(certificates, "expired")
        #expect(server.context.warning == .certificateExpired(path: certificates.path("expired.pem")))
        await server.stop()
        try await certificates.remove()
    }

    @Test("How long a certificate is good for is known, and that its end is near", arguments: [6: true, 8: false])
    @OnLoop func validity(days: Int, isNear: Bool) async throws {
        let certificates = Certificates()
        try await certificates.make("server", days: days)
        let path = certificates.path("server.pem")
        let context = try TLSServerContext(.init(certificateChainPath: path, keyPath: certificates.path("server.key")))
        let end = try await certificates.openssl(["x509", "-in", path, "-noout", "-enddate"])
        let seconds = try await run("date", ["--date", String(end.dropFirst("notAfter=".count)), "+%s"]).output
        #expect("\(context.validity.notAfter)\n" == seconds)
        #expect(context.validity.notAfter - context.validity.notBefore == Int64(days) * 86_400)
        #expect(context.warning == (isNear ? .certificateExpiresSoon(path: path) : nil))
        try await certificates.remove()
    }

    @OnLoop private func code(_ body: () throws -> Void) -> TLSError.Code? {
        do { try body() } catch { return (error as? TLSError)?.code }
        return nil
    }
}
