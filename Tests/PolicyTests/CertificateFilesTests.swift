import Cryptography
import Foundation
import Testing

@testable import Policy

/// A directory of certificates made by the `openssl` command.
private final class Certificates {
    let directory: TemporaryDirectory

    init() throws {
        directory = try TemporaryDirectory()
        try FileManager.default.createDirectory(
            atPath: "\(directory.path)/tls", withIntermediateDirectories: true)
    }

    func path(_ name: String) -> String { "\(directory.path)/tls/\(name)" }

    func make(
        _ name: String, key: [String] = ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"], more: [String] = ["-nodes"]
    )
        throws
    {
        try openssl(
            ["req", "-x509", "-newkey"] + key + more + [
                "-days", "3", "-subj", "/CN=\(name)", "-keyout", path("\(name).key"), "-out", path("\(name).pem"),
            ])
    }

    func openssl(_ arguments: [String]) throws {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/openssl")
        process.arguments = arguments
        process.standardError = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        try #require(process.terminationStatus == 0)
    }

    /// The mistakes of a listener that names these.
    func mistakes(_ certificate: String, _ key: String, expired: ExpiredCertificates = .refused) throws -> [String] {
        for name in PolicyDirectory.fileNames + PolicyDirectory.ruleFileNames {
            let text = try String(contentsOfFile: "\(TemporaryDirectory.repository)/\(name)", encoding: .utf8)
            try directory.write(text, to: name)
        }
        let text =
            """
            listeners:
              - name: admin
                address: 127.0.0.1:0
              - name: public
                address: 127.0.0.1:0
                tls:
                  certificate: tls/\(certificate)
                  key: tls/\(key)
            upstream:
              socket: run/bridge.sock
            """
        try directory.write(text, to: "gateway.yaml")
        try directory.write("{}", to: "addresses.yaml")
        try directory.write(P256PrivateKey().publicKey.pem, to: "keys/demo-issuer.public.pem")
        try directory.write("the secret of the demo's PMS", to: "keys/demo-pms.webhook-secret")
        return PolicyTests.mistakes { () throws(PolicyError) in
            try PolicyDirectory(path: directory.path, installation: directory.path)
                .check(expired: expired)
        }.map { "\($0.line) \($0.key): \($0.found)" }
    }
}

@Suite("What is in the files of certificates")
struct CertificateFilesTests {
    @Test("A certificate and its key are in order, whatever kind they are")
    func inOrder() throws {
        let certificates = try Certificates()
        try certificates.make("p256")
        try certificates.make("rsa", key: ["rsa:2048"])
        for name in ["p256", "rsa"] { #expect(try certificates.mistakes("\(name).pem", "\(name).key") == []) }
    }

    @Test("The repository's policies are in order together")
    func repository() throws {
        let certificates = try Certificates()
        try certificates.make("certificate")
        try FileManager.default.moveItem(
            atPath: certificates.path("certificate.key"), toPath: certificates.path("key.pem"))
        try certificates.directory.write(P256PrivateKey().publicKey.pem, to: "keys/demo-issuer.public.pem")
        try certificates.directory.write("the secret of the demo's PMS", to: "keys/demo-pms.webhook-secret")
        try PolicyDirectory(path: TemporaryDirectory.repository, installation: certificates.directory.path).check()
    }

    @Test("What no listener could use is told, at the key that names it")
    func mistakes() throws {
        let certificates = try Certificates()
        try certificates.make("good")
        try certificates.make("other")
        try certificates.make("rsa", key: ["rsa:2048"])
        try certificates.make("weak", key: ["rsa:1024"])
        try certificates.make("locked", more: ["-passout", "pass:word"])
        try certificates.directory.write("no certificate", to: "tls/no.pem")
        let good = try String(contentsOfFile: certificates.path("good.pem"), encoding: .utf8)
        try certificates.directory.write(
            good + "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", to: "tls/chain.pem")
        let (certificate, key) = ("7 listeners[1].tls.certificate: tls/", "8 listeners[1].tls.key: tls/")
        #expect(try certificates.mistakes("no.pem", "good.key") == ["\(certificate)no.pem (no start line)"])
        #expect(
            try certificates.mistakes("chain.pem", "good.key").map { $0.hasPrefix("\(certificate)chain.pem") } == [true]
        )
        #expect(try certificates.mistakes("weak.pem", "weak.key") == ["\(certificate)weak.pem (ee key too small)"])
        for stranger in ["other.key", "rsa.key"] {
            #expect(
                try certificates.mistakes("good.pem", stranger)
                    == ["\(key)\(stranger), which belongs to another certificate"])
        }
        #expect(
            try certificates.mistakes("locked.pem", "locked.key").map { $0.hasPrefix("\(key)locked.key (") } == [true])
        #expect(try certificates.mistakes("good.pem", "no.pem").map { $0.hasPrefix("\(key)no.pem (") } == [true])
        // Both at once, and what is not there once.
        #expect(try certificates.mistakes("no.pem", "no.pem").count == 2)
        #expect(try certificates.mistakes("gone.pem", "gone.key").count == 2)
    }

    @Test("An expired certificate is a mistake where policies are put in force, and none where all begins")
    func expired() throws {
        let certificates = try Certificates()
        try certificates.make("good")
        try certificates.openssl([
            "x509", "-in", certificates.path("good.pem"), "-signkey", certificates.path("good.key"), "-days", "-1",
            "-out", certificates.path("expired.pem"),
        ])
        let found = try certificates.mistakes("expired.pem", "good.key")
        #expect(found.count == 1)
        #expect(
            found.first?.hasPrefix("7 listeners[1].tls.certificate: tls/expired.pem, which was good until 20") == true)
        for (expired, count) in [
            (ExpiredCertificates.allAllowed, 0), (.allowed(at: [certificates.path("expired.pem")]), 0),
            (.allowed(at: [certificates.path("good.pem")]), 1),
        ] {
            #expect(try certificates.mistakes("expired.pem", "good.key", expired: expired).count == count)
            let told = PolicyDirectory(path: certificates.directory.path, installation: certificates.directory.path)
                .certificateMistakes()
            #expect(told.map(\.key) == ["listeners[1].tls.certificate"], "it is told all the same")
        }
    }

    @Test("Authorities that vouch for an issuer's server are looked at, too")
    func authorities() throws {
        let directory = try TemporaryDirectory()
        try directory.write("no certificate", to: "tls/authorities.pem")
        let file = try directory.write(
            """
            issuers:
              - issuer: https://issuer.example
                audience: drawbridge
                key_set:
                  url: https://issuer.example/keys
                  algorithms: [ES256]
                  authorities: tls/authorities.pem
            """, to: "issuers.yaml")
        // Not by each process that reads the policy, which must be able to come back.
        _ = try IssuerPolicy.load(file, installation: directory.path)
        let found = PolicyTests.mistakes { () throws(PolicyError) in
            try PolicyDirectory(path: directory.path, installation: directory.path).check()
        }
        let told = found.filter { $0.file.hasSuffix("issuers.yaml") }
        #expect(told.map(\.key) == ["issuers[0].key_set.authorities"], "\(told)")
        #expect(told.first?.found == "tls/authorities.pem (no certificate or crl found)")
    }
}

@Suite("What has changed between two versions of a policy")
struct PolicyChangeTests {
    private func keys(_ old: String, _ new: String) -> [String] {
        PolicyChange.keys(from: Array(old.utf8), to: Array(new.utf8))
    }

    @Test("Keys are named with the way to them; comments and order are no change")
    func changes() {
        #expect(keys("a: 1\nb: {c: x, d: [1, 2]}", "b: {d: [1, 2], c: x} # the same\na: 1") == [])
        #expect(keys("a: 1\nb: {c: x, d: [1, 2]}", "a: 2\nb: {c: x, d: [1, 3]}") == ["a", "b.d[1]"])
        #expect(keys("a: 1\nb: {c: x, d: 1}", "b: {c: x, e: 1}\nf: 1") == ["b.e", "b.d", "f", "a"])
        #expect(keys("a: 1", "a: 1\nb: {c: 1, d: {e: 1}, f: {}}") == ["b.c", "b.d.e", "b.f"])
        #expect(keys("a: [1]", "a: [1, 2]") == ["a"])
        #expect(keys("a: {b: 1}", "a: 1") == ["a"])
    }
}
