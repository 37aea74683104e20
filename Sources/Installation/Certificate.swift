internal import Glibc
internal import Loop

/// The gateway's certificate: the operator's, or one signed by itself for trying on this machine.
public enum Certificate {
    /// A certificate of ours is replaced when fewer days are left.
    static let renewalInDays = 30
    private static let lifetimeInDays = 397
    private static let organization = "Drawbridge demo"

    /// Makes the certificate if there is none, or if it is ours and about to expire.
    @OnLoop
    public static func prepare(_ home: Home, tools: Tools) async throws {
        if File.exists(home.certificateFile), File.exists(home.certificateKeyFile) {
            guard try await !isValid(home.certificateFile, days: renewalInDays, tools: tools) else { return }
            guard try await isOurs(home.certificateFile, tools: tools) else { return }
        }
        let temporary = (key: "\(home.certificateKeyFile).made", certificate: "\(home.certificateFile).made")
        // Made for its owner alone from the first byte on.
        try File.write([], to: temporary.key, mode: 0o600)
        try await tools.require([
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-sha256",
            "-days", String(lifetimeInDays), "-subj", "/O=\(organization)/CN=localhost",
            "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1",
            "-addext", "basicConstraints=critical,CA:TRUE,pathlen:0",
            "-addext", "keyUsage=critical,digitalSignature,keyCertSign", "-addext", "extendedKeyUsage=serverAuth",
            "-keyout", temporary.key, "-out", temporary.certificate,
        ])
        chmod(temporary.certificate, 0o644)
        guard rename(temporary.key, home.certificateKeyFile) == 0,
            rename(temporary.certificate, home.certificateFile) == 0
        else { throw File.failure(home.certificateFile) }
    }

    /// Whether a certificate is still valid so many days from now.
    @OnLoop
    static func isValid(_ path: String, days: Int, tools: Tools) async throws -> Bool {
        try await tools.run(["openssl", "x509", "-in", path, "-noout", "-checkend", String(days * 86_400)]).exit
            .isSuccess
    }

    /// What doctor says about a certificate that `gateway.yaml` names.
    @OnLoop
    static func examine(_ path: String, home: Home, tools: Tools) async throws -> Finding {
        let subject = "certificate \(path)"
        let replace =
            path == home.certificateFile
            ? "replace it, or remove it: drawbridge up makes a new one" : "replace it, then send drawbridge up a SIGHUP"
        guard try await tools.run(["openssl", "x509", "-in", path, "-noout"]).exit.isSuccess else {
            return .wrong(subject, "no certificate", fix: replace)
        }
        guard try await isValid(path, days: 0, tools: tools) else { return .wrong(subject, "expired", fix: replace) }
        guard try await isValid(path, days: 7, tools: tools) else {
            return .wrong(subject, "expires within a week", fix: "renew it, then send drawbridge up a SIGHUP")
        }
        return .well(subject)
    }

    /// Whether the home's certificate is one that was made here, which no client believes by itself.
    @OnLoop
    public static func isSelfSigned(_ home: Home, tools: Tools) async throws -> Bool {
        try await isOurs(home.certificateFile, tools: tools)
    }

    @OnLoop
    private static func isOurs(_ path: String, tools: Tools) async throws -> Bool {
        try await tools.require(["openssl", "x509", "-in", path, "-noout", "-issuer"]).contains(organization)
    }
}
