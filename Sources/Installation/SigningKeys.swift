internal import Authentication
internal import Cryptography
internal import Glibc
public import Loop
internal import Policy

/// The keys that sign the installation's tokens, in its database: what `drawbridge token` does with them. Bridges go by a
/// change within a second.
@OnLoop
public struct SigningKeys {
    /// Keys that there may be at once; gateways look at a hundred.
    private static let bound = 20
    /// For how long a key must have been published before it may sign: twice as long as anybody may keep the published set.
    private static let leastLead = 2 * OwnTokenPolicy.keySetMaximumAgeInSeconds

    private let database: Database
    private let home: Home

    /// Finds the database: `$DATABASE_URL`, or the private one of a running installation.
    ///
    /// - Throws: `InstallationError` when neither is there.
    public init(_ home: Home, _ settings: Settings, tools: Tools) throws {
        self.home = home
        database = try Database(of: home, settings, tools: tools)
    }

    /// All keys: id, state, since when, when made, under which master key it is stored.
    public func list() async throws -> [[String]] {
        try await database.rows(
            """
            SELECT kid, state, \(Database.instant("state_since")), \(Database.instant("made_at")), master_key_id
            FROM drawbridge.signing_keys ORDER BY made_at, kid;
            """)
    }

    /// Lets the next key sign from now on, and the current one no more; its tokens stay good.
    ///
    /// - Parameter isAtOnce: also where others than the gateways may not have seen the next key yet.
    public func rotate(atOnce isAtOnce: Bool) async throws {
        let outcome = try await database.run(
            """
            BEGIN;
            SELECT version FROM drawbridge.signing_key_state FOR UPDATE \\gset
            SELECT count(*) FILTER (WHERE state = 'next') = 0 AS is_missing, count(*) >= :bound AS is_full,
                   COALESCE(bool_or(made_at > now() - :lead * INTERVAL '1 second') FILTER (WHERE state = 'next'), FALSE)
                   AND NOT :at_once::BOOLEAN AS is_young
            FROM drawbridge.signing_keys \\gset
            \\if :is_missing
              SELECT 'missing';
            \\elif :is_full
              SELECT 'full';
            \\elif :is_young
              SELECT 'young';
            \\else
              UPDATE drawbridge.signing_keys SET state = 'previous', state_since = now() WHERE state = 'current';
              UPDATE drawbridge.signing_keys SET state = 'current', state_since = now() WHERE state = 'next';
              SELECT 'rotated';
            \\endif
            COMMIT;
            """,
            variables: [
                ("bound", String(Self.bound)), ("lead", String(Self.leastLead)),
                ("at_once", isAtOnce ? "TRUE" : "FALSE"),
            ])
        switch outcome {
        case "rotated": return
        case "missing":
            throw InstallationError(
                "there is no next key", remedy: "a bridge that runs makes one within a second: drawbridge token keys")
        case "full":
            throw InstallationError(
                "there are \(Self.bound) keys already", remedy: "wait until the tokens of the oldest have expired")
        default:
            throw InstallationError(
                "the next key was made less than \(Self.leastLead / 60) minutes ago, and whoever keeps a copy of the "
                    + "published keys may not have it",
                remedy: "wait, or, if nobody but the gateways checks our tokens: drawbridge token rotate-keys --at-once"
            )
        }
    }

    /// Removes all keys: no token that they signed is good any more, and bridges make others.
    ///
    /// - Returns: how many there were.
    public func withdraw() async throws -> Int {
        try await database.rows("DELETE FROM drawbridge.signing_keys RETURNING kid;").count
    }

    // MARK: The master key

    /// Stores the keys, and the secrets of webhooks, under another master key, in the place of the one that there is.
    ///
    /// A change that was interrupted is finished by the next one: the new key is written down before anything is stored under
    /// it, and the old one stays beside it.
    ///
    /// - Parameter say: told the new key, before it is used, where the environment holds the old one.
    /// - Returns: how many keys and secrets are stored under it.
    public func changeMasterKey(say: (String) -> Void) async throws -> Int {
        let file = Self.masterKeyFile(home)
        if let text = Settings.masterKey {
            let new = MasterKey.makeText()
            say(new)
            return try await reseal(
                from: try Self.masterKey(text, MasterKey.variable), to: try Self.masterKey(new, "new"))
        }
        let next = "\(file).next"
        guard let text = try File.readText(file, ownership: .own) else {
            throw InstallationError("\(file) is missing", remedy: "put it back from where you keep a copy")
        }
        let old = try Self.masterKey(text, file)
        if !File.exists(next) { try File.write(MasterKey.makeText() + "\n", to: next, mode: 0o600) }
        let new = try Self.masterKey(try File.readText(next, ownership: .own) ?? "", next)
        let count = try await reseal(from: old, to: new)
        try File.write(text, to: "\(file).previous", mode: 0o600)
        guard rename(next, file) == 0 else { throw File.failure(file) }
        return count
    }

    private func reseal(from old: MasterKey, to new: MasterKey) async throws -> Int {
        // Whoever stores one looks at this row first.
        let script = """
            BEGIN;
            SELECT version FROM drawbridge.signing_key_state FOR UPDATE \\gset
            \(try await resealKeys(from: old, to: new))\(try await resealWebhookSecrets(from: old, to: new))
            SELECT count(*) AS count, count(*) FILTER (WHERE master_key_id <> :'new') > 0 AS is_incomplete
            FROM (SELECT master_key_id FROM drawbridge.signing_keys
                  UNION ALL SELECT master_key_id FROM drawbridge.webhook_secrets) AS stored \\gset
            \\if :is_incomplete
              ROLLBACK;
              SELECT 'incomplete';
            \\else
              COMMIT;
              SELECT :count;
            \\endif
            """
        let outcome = try await database.run(script, variables: [("new", new.id), ("old", old.id)])
        guard let count = Int(outcome) else {
            throw InstallationError("the keys have changed meanwhile", remedy: "try again")
        }
        return count
    }

    private func resealKeys(from old: MasterKey, to new: MasterKey) async throws -> String {
        let rows = try await database.rows(
            "SELECT kid, encode(sealed_private_key, 'hex'), master_key_id FROM drawbridge.signing_keys ORDER BY kid;")
        var script = ""
        for row in rows where row[2] != new.id {
            guard row[2] == old.id else {
                throw InstallationError(
                    "the key \(row[0]) is stored under the master key \(row[2]), and this one is \(old.id)",
                    remedy:
                        "put the right one in its place, or give the keys up: drawbridge token rotate-keys --withdraw")
            }
            guard let sealed = Hexadecimal.decode(row[1]) else {
                throw InstallationError("key \(row[0]) is unreadable")
            }
            let key: SigningKey
            do { key = try old.open(sealed, id: row[0]) } catch {
                throw InstallationError("the key \(row[0]) was changed in the database: \(error)")
            }
            // What is sealed anew is hexadecimal digits; all else may be anything.
            script += """
                UPDATE drawbridge.signing_keys
                SET sealed_private_key = decode('\(Hexadecimal.encode(new.seal(key)))', 'hex'), master_key_id = :'new'
                WHERE kid = \(Database.literal(row[0])) AND master_key_id = :'old';

                """
        }
        return script
    }

    private func resealWebhookSecrets(from old: MasterKey, to new: MasterKey) async throws -> String {
        let rows = try await database.rows(
            """
            SELECT id, endpoint_id, encode(sealed, 'hex'), master_key_id FROM drawbridge.webhook_secrets
            WHERE expires_at IS NULL OR expires_at > now() ORDER BY id;
            """)
        // What has expired goes, as it would within the minute, rather than stay under the old one.
        var script = "DELETE FROM drawbridge.webhook_secrets WHERE expires_at <= now();\n"
        for row in rows where row[3] != new.id {
            guard row[3] == old.id else {
                throw InstallationError(
                    "a secret of the webhook \(row[1]) is stored under the master key \(row[3]), and this one is "
                        + old.id,
                    remedy:
                        "put the right one in its place, or make others: drawbridge webhook rotate-secret \(row[1]) --overlap-hours 0"
                )
            }
            guard let sealed = Hexadecimal.decode(row[2]) else {
                throw InstallationError("a secret of the webhook \(row[1]) is unreadable")
            }
            let secret: [UInt8]
            do { secret = try old.open(webhookSecret: sealed, endpoint: row[1], id: row[0]) } catch {
                throw InstallationError("a secret of the webhook \(row[1]) was changed in the database: \(error)")
            }
            script += """
                UPDATE drawbridge.webhook_secrets
                SET sealed = decode('\(Hexadecimal.encode(new.seal(webhookSecret: secret, endpoint: row[1], id: row[0])))', 'hex'),
                    master_key_id = :'new'
                WHERE id = \(Database.literal(row[0])) AND master_key_id = :'old';

                """
        }
        return script
    }

    /// Where the policies say that the master key is.
    static func masterKeyFile(_ home: Home) -> String {
        guard let directory = try? PolicyLocation.find(nil, home: home),
            let policy = try? PolicyDirectory(path: directory, installation: home.path).issuers()
        else { return home.masterKeyFile }
        return policy.own.masterKeyFile
    }

    /// The master key that is in force.
    static func readMasterKey(_ home: Home) throws -> MasterKey {
        if let text = Settings.masterKey { return try masterKey(text, MasterKey.variable) }
        let file = masterKeyFile(home)
        guard let text = try File.readText(file, ownership: .own) else {
            throw InstallationError("\(file) is missing", remedy: "put it back from where you keep a copy")
        }
        return try masterKey(text, file)
    }

    private static func masterKey(_ text: String, _ place: String) throws -> MasterKey {
        do { return try MasterKey(text: text) } catch { throw InstallationError("\(place): \(error)") }
    }
}
