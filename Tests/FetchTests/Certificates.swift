import Glibc
import Loop
import Testing

/// Certificates made for a test, each of itself, and a file of those that are believed.
@OnLoop
final class Certificates {
    let directory: String

    init() async throws {
        directory = "/tmp/fetch-test-\(UInt64.random(in: 0 ... .max))"
        mkdir(directory, 0o700)
        for (name, names) in [
            ("good", "DNS:localhost,DNS:changing.test,IP:127.0.0.1"), ("wrong-name", "DNS:receiver.example"),
            ("stranger", "DNS:localhost"),
        ] {
            try await openssl([
                "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
                "/CN=\(name)", "-addext", "subjectAltName=\(names)", "-keyout", key(name), "-out", path(name),
            ])
        }
        try await openssl([
            "x509", "-in", path("good"), "-signkey", key("good"), "-days", "-1", "-out", path("expired"),
        ])
        var believed: [UInt8] = []
        for name in ["good", "wrong-name", "expired"] { believed += try read(path(name)) }
        try write(believed, to: authorities)
        try write(read(key("good")), to: key("expired"))
    }

    func path(_ name: String) -> String { "\(directory)/\(name).pem" }
    func key(_ name: String) -> String { "\(directory)/\(name).key" }
    var authorities: String { path("authorities") }

    func remove() {
        for name in ["good", "wrong-name", "stranger", "expired", "authorities"] {
            unlink(path(name))
            unlink(key(name))
        }
        rmdir(directory)
    }

    private func openssl(_ arguments: [String]) async throws {
        let child = try ChildProcess(
            "/usr/bin/openssl", arguments, environment: ["PATH": "/usr/bin:/bin"], descriptors: [.null, .null, .null])
        try #require(try await child.waitForExit().isSuccess)
    }

    private func read(_ path: String) throws -> [UInt8] {
        let file = try #require(fopen(path, "r"))
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 1 << 16)
        bytes.removeLast(bytes.count - fread(&bytes, 1, bytes.count, file))
        return bytes
    }

    private func write(_ bytes: [UInt8], to path: String) throws {
        let file = try #require(fopen(path, "w"))
        try #require(fwrite(bytes, 1, bytes.count, file) == bytes.count)
        fclose(file)
    }
}
