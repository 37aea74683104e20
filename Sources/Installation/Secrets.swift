internal import Authentication
internal import Cryptography
internal import Glibc

/// What an installation keeps to itself: random, made once, in files that only their owner can read.
public struct Secrets: Sendable {
    /// The password of the private database's role.
    let databasePassword: String
    /// Whether it has just been made.
    let isDatabasePasswordNew: Bool
    /// The demo issuer's key.
    let issuerKey: P256PrivateKey
    /// The demo clients' API keys.
    let apiKeys: [DemoAPIKey: String]
    /// What the demo's source of webhooks signs with.
    let webhookSecret: String

    /// Reads the secrets of a home, and makes those that are missing.
    public static func prepare(_ home: Home) throws -> Secrets {
        _ = try secret(home.hopKeyFile) { Base64.standard.encode(SecureRandom.bytes(32)) }
        _ = try secret(home.auditKeyFile) { Base64.standard.encode(SecureRandom.bytes(32)) }
        // Whatever is there stays: another key would open nothing that this one has sealed.
        if Settings.masterKey == nil {
            _ = try secret(home.masterKeyFile, where: { _ in true }, make: MasterKey.makeText)
        }
        let password = try secret(home.file("keys/database.password")) { Base64.url.encode(SecureRandom.bytes(24)) }
        let issuerKey = try issuerKey(home)
        var apiKeys: [DemoAPIKey: String] = [:]
        for key in DemoAPIKey.allCases {
            let isKey = { (text: String) in APIKey(text) != nil }
            apiKeys[key] = try secret(home.file("keys/\(key.fileName)"), where: isKey) { APIKey().text }.text
        }
        let webhookSecret = try secret(home.webhookSecretFile) { Hexadecimal.encode(SecureRandom.bytes(24)) }
        return Secrets(
            databasePassword: password.text, isDatabasePasswordNew: password.isNew, issuerKey: issuerKey,
            apiKeys: apiKeys, webhookSecret: webhookSecret.text)
    }

    /// The files that only their owner may read, for `doctor`.
    static func files(_ home: Home) -> [String] {
        [
            home.hopKeyFile, home.auditKeyFile, home.issuerKeyFile, home.certificateKeyFile, home.environmentFile,
            home.file("keys/database.password"), home.webhookSecretFile,
        ] + (Settings.masterKey == nil ? [home.masterKeyFile] : [])
            + DemoAPIKey.allCases.map { home.file("keys/\($0.fileName)") }
    }

    private static func issuerKey(_ home: Home) throws -> P256PrivateKey {
        let pem = try secret(home.issuerKeyFile) { P256PrivateKey().pem.trimmingNewline }.text
        let key: P256PrivateKey
        do { key = try P256PrivateKey(pem: pem.utf8.span) } catch {
            throw InstallationError("\(home.issuerKeyFile): \(error)", remedy: "remove it; a new one is made")
        }
        let publicPEM = key.publicKey.pem
        if try File.readText(home.issuerPublicKeyFile, ownership: .own) != publicPEM {
            try File.write(publicPEM, to: home.issuerPublicKeyFile, mode: 0o644)
        }
        return key
    }

    private static func secret(
        _ path: String, where isGood: (String) -> Bool = { !$0.isEmpty }, make: () -> String
    ) throws -> (text: String, isNew: Bool) {
        if let text = try File.readText(path, ownership: .own)?.trimmingNewline, isGood(text) { return (text, false) }
        let text = make()
        try File.write(text + "\n", to: path, mode: 0o600)
        return (text, true)
    }
}

/// The API keys an installation has for trying it.
public enum DemoAPIKey: CaseIterable, Sendable {
    case bookingEngine, pms, administrator

    /// Its variable in `demo.env`.
    var variable: String {
        switch self {
        case .bookingEngine: "BOOKING_ENGINE_API_KEY"
        case .pms: "PMS_API_KEY"
        case .administrator: "ADMIN_API_KEY"
        }
    }

    var fileName: String {
        switch self {
        case .bookingEngine: "booking-engine.api-key"
        case .pms: "pms.api-key"
        case .administrator: "administrator.api-key"
        }
    }

    /// The client it is made for.
    var client: String {
        switch self {
        case .bookingEngine: "demo-booking-engine"
        case .pms: "demo-pms"
        case .administrator: "demo-administrator"
        }
    }

    /// What the database says it is for.
    var description: String {
        switch self {
        case .bookingEngine: "demo: booking engine"
        case .pms: "demo: property management system"
        case .administrator: "demo: administrator"
        }
    }

    /// What its holder may do.
    var scopes: [String] {
        switch self {
        case .bookingEngine: ["availability:read", "hotel:read", "booking:read", "booking:write"]
        case .pms: ["cache:read", "cache:write"]
        case .administrator:
            [
                "availability:read", "hotel:read", "booking:read", "booking:write", "cache:write", "cache:read",
                "webhook:write", "webhook:read", "audit:read", "admin",
            ]
        }
    }
}
