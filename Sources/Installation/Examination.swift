internal import Glibc
internal import Inbound
public import Loop
internal import Policy

/// One thing `drawbridge doctor` looked at.
public struct Finding: Sendable, Equatable, CustomStringConvertible {
    /// How much it matters.
    public enum Weight: String, Sendable {
        case well = "ok"
        case note
        case warning = "warn"
        case wrong = "WRONG"
    }

    /// How much it matters.
    public let weight: Weight
    /// What was looked at.
    public let subject: String
    /// What is to be said about it; `nil` when nothing is.
    public let complaint: String?
    /// What puts it right.
    public let remedy: String?

    /// Whether nothing is wrong.
    public var isWell: Bool { weight != .wrong }

    static func well(_ subject: String) -> Finding {
        Finding(weight: .well, subject: subject, complaint: nil, remedy: nil)
    }

    static func note(_ subject: String, _ words: String) -> Finding {
        Finding(weight: .note, subject: subject, complaint: words, remedy: nil)
    }

    static func warning(_ subject: String, _ complaint: String, fix: String) -> Finding {
        Finding(weight: .warning, subject: subject, complaint: complaint, remedy: fix)
    }

    static func wrong(_ subject: String, _ complaint: String, fix: String) -> Finding {
        Finding(weight: .wrong, subject: subject, complaint: complaint, remedy: fix)
    }

    /// One line: `ok`, or what is to be said and how to put it right.
    public var description: String {
        let mark = weight.rawValue + String(repeating: " ", count: 7 - weight.rawValue.utf8.count)
        guard let complaint else { return "\(mark)\(subject)" }
        let line = "\(mark)\(subject): \(complaint)"
        return (line + (remedy.map { " — fix: \($0)" } ?? "")).split(separator: "\n").joined(separator: " ")
    }
}

/// Looks at everything an installation needs, and changes nothing.
@OnLoop
public struct Examination {
    private let home: Home
    private let tools: Tools
    private let config: String?

    /// - Parameter config: what `--config` names.
    public init(_ home: Home, config: String?, tools: Tools) {
        self.home = home
        self.config = config
        self.tools = tools
    }

    /// What was found, in the order in which things depend on each other.
    public func run() async throws -> [Finding] {
        let settings: Settings
        do { settings = try Settings() } catch {
            return [.wrong("environment", error.message, fix: error.remedy ?? "correct it")]
        }
        do { try home.requireOwn() } catch {
            // What else there is would be told as missing.
            return [.wrong("home", error.message, fix: error.remedy ?? "choose another")]
        }
        var findings = programs(isDatabasePrivate: settings.databaseURL == nil)
        findings += homeDirectory()
        findings += try await policies(settings)
        findings += try await DatabaseExamination(home, settings, tools: tools).run()
        return findings
    }

    // MARK: Programs

    private func programs(isDatabasePrivate: Bool) -> [Finding] {
        var packages = [
            "openssl": "openssl", "setpriv": "util-linux", "setsid": "util-linux", "psql": "postgresql-client",
        ]
        if isDatabasePrivate, SystemUser.isRoot { packages["test"] = "coreutils" }
        var findings = packages.sorted { $0.key < $1.key }.map { program, package -> Finding in
            (try? Tools.find(program)).map { .well("program \(program) (\($0))") }
                ?? .wrong("program \(program)", "missing", fix: "Scripts/packages, or apt-get install \(package)")
        }
        if isDatabasePrivate {
            do {
                let found = try PostgreSQL.find(for: File.resolve(home.file("cluster")))
                findings.append(.well("PostgreSQL \(found.version) (\(found.directory))"))
            } catch { findings.append(.wrong("PostgreSQL", "\(error)", fix: "Scripts/packages, or set DATABASE_URL")) }
            if SystemUser.isRoot, SystemUser(named: "postgres") == nil {
                findings.append(.wrong("user postgres", "missing", fix: "Scripts/packages"))
            }
        }
        for name in Programs.names {
            let path = Programs.directory.map { "\($0)/\(name)" } ?? name
            findings.append(
                access(path, X_OK) == 0
                    ? .well("program \(path)") : .wrong("program \(path)", "missing", fix: "make build"))
        }
        return findings + ledger()
    }

    // MARK: Ledger

    private func ledger() -> [Finding] {
        var findings: [Finding] = []
        if SystemUser.isRoot, LedgerHome.user == nil {
            findings.append(
                .warning(
                    "user \(LedgerHome.userName)",
                    "missing, so the ledger is written as root, as which the gateways run",
                    fix: "Scripts/packages"))
        }
        guard let status = File.status(home.ledgerDirectory) else { return findings }
        let owner = LedgerHome.user?.id ?? geteuid()
        if status.st_mode & 0o077 != 0 {
            findings.append(
                .wrong(
                    "ledger \(home.ledgerDirectory)", "others may enter it", fix: "chmod 700 \(home.ledgerDirectory)"))
        } else if status.st_uid != owner, HomeLock.isHeld(home) {
            findings.append(
                .warning(
                    "ledger \(home.ledgerDirectory)", "belongs to another user than its process should be",
                    fix: "restart drawbridge up"))
        } else {
            findings.append(.well("ledger \(home.ledgerDirectory)"))
        }
        return findings
    }

    // MARK: Home

    private func homeDirectory() -> [Finding] {
        guard let status = File.status(home.path) else {
            return [.note("home \(home.path), with its keys and certificate", "made by the first drawbridge up")]
        }
        var findings: [Finding] = []
        if status.st_mode & 0o022 != 0 {
            findings.append(.wrong("home \(home.path)", "others may write to it", fix: "chmod go-w \(home.path)"))
        } else {
            findings.append(.well("home \(home.path)"))
        }
        if let disk = DiskSpace(home.path) { findings.append(disk.finding(home.path)) }
        for path in Secrets.files(home) {
            guard let status = File.status(path) else {
                findings.append(.wrong(path, "not there yet", fix: "drawbridge up makes it"))
                continue
            }
            findings.append(
                status.st_mode & 0o077 == 0
                    ? .well(path)
                    : .wrong(path, "others can read this secret", fix: "chmod 600 \(path), and replace it"))
        }
        return findings
    }

    // MARK: Policies and ports

    private func policies(_ settings: Settings) async throws -> [Finding] {
        let directory: String
        do { directory = try PolicyLocation.find(config, home: home) } catch {
            return [.wrong("policies", error.message, fix: error.remedy ?? "--config DIR")]
        }
        let policies = PolicyDirectory(path: directory, installation: home.path)
        var findings: [Finding] = []
        do throws(PolicyError) {
            // Each certificate's dates are looked at below.
            try policies.check(expired: .allAllowed)
            findings.append(.well("policies in \(directory)"))
        } catch {
            // A mistake says where it is, and what was expected in its place.
            let mistakes = error.mistakes.filter { !isMadeByFirstStart($0) }
            if mistakes.isEmpty { findings.append(.well("policies in \(directory)")) }
            findings += mistakes.map { .wrong("policy", $0.description, fix: "correct the line") }
        }
        if HomeLock.isHeld(home), PoliciesInForce.differ(from: directory, home: home) {
            findings.append(
                .note(
                    "policies in \(directory)", "changed since drawbridge up was started, which goes by those of then"))
        }
        if settings.databaseURL != nil, trustsDemoIssuer("\(directory)/issuers.yaml") {
            findings.append(
                .warning(
                    "issuers.yaml", "trusts the demo issuer, whose key is in this home, with real hotels",
                    fix: "name your own issuer in its place"))
        }
        if settings.databaseURL != nil, let inbound = try? policies.inboundWithoutSecrets(),
            inbound.sources.contains(where: { $0.name == DemoEnvironment.webhookSource })
        {
            findings.append(
                .warning(
                    "inbound.yaml", "takes webhooks of the demo's PMS, whose secret is in this home, for real hotels",
                    fix: "name your own sources in its place"))
        }
        guard let gateway = try? policies.gateway() else { return findings }
        findings += ports(gateway, settings)
        if let bridge = try? policies.bridge(), let egress = try? policies.egress() {
            findings.append(OpenFileDemand(gateway, bridge, egress, workers: Machine.processors).finding)
        }
        for file in Set(gateway.listeners.compactMap { $0.tls?.certificateFile }).sorted() {
            findings.append(try await Certificate.examine(file, home: home, tools: tools))
        }
        return findings
    }

    /// Looks at the text alone, so that it also holds while a key is missing.
    private func trustsDemoIssuer(_ path: String) -> Bool {
        guard let path = File.resolve(path), let text = try? File.readText(path) else { return false }
        return text.split(separator: "\n").contains { line in
            line.prefix { $0 != "#" }.firstRange(of: DemoToken.issuer) != nil
        }
    }

    /// Whether a mistake is a file that is not there because the home is not.
    private func isMadeByFirstStart(_ mistake: Mistake) -> Bool {
        guard !File.exists(home.path) else { return false }
        let made = [
            home.certificateFile, home.certificateKeyFile, home.issuerPublicKeyFile, home.webhookSecretFile,
        ]
        return made.contains { path in
            mistake.found.hasPrefix("\(path) (")
                || mistake.found.hasPrefix("\(path.dropFirst(home.path.utf8.count + 1)) (")
        }
    }

    private func ports(_ policy: GatewayPolicy, _ settings: Settings) -> [Finding] {
        if HomeLock.isHeld(home) { return [.well("ports (drawbridge is running)")] }
        let places = GatewaySockets.places(policy.listeners, port: settings.port, adminPort: settings.adminPort)
        return places.enumerated().map { number, place in
            let subject = "port \(place.address.port) for \(place.name)"
            do {
                try GatewaySockets.requireApart(place, from: places[..<number])
                if place.address.port != 0 { try GatewaySockets.requireFree(place) }
                return .well(subject)
            } catch {
                let error = error as? InstallationError
                return .wrong(subject, error?.message ?? "cannot be had", fix: error?.remedy ?? "choose another")
            }
        }
    }
}
