internal import Authentication
internal import Cryptography
internal import Glibc

/// The directory of one installation, `$DRAWBRIDGE_HOME`: its secrets, sockets and private database.
public struct Home: Sendable, Equatable {
    /// The environment variable that names it.
    public static let variable = "DRAWBRIDGE_HOME"

    /// Absolute.
    public let path: String

    /// - Parameter path: relative to the current directory unless absolute.
    public init(path: String) {
        let absolute = path.hasPrefix("/") ? path : "\(Self.currentDirectory)/\(path)"
        // Components are tidied in the text alone, because the directory need not be there yet.
        var components: [Substring] = []
        for component in absolute.split(separator: "/") where component != "." {
            if component == ".." { _ = components.popLast() } else { components.append(component) }
        }
        self.path = "/" + components.joined(separator: "/")
    }

    /// The home of the commands run here: `$DRAWBRIDGE_HOME`, or `.drawbridge` in the current directory.
    public static var current: Home {
        let named = getenv(variable).map { String(cString: $0) } ?? ""
        return Home(path: named.isEmpty ? ".drawbridge" : named)
    }

    /// Shell variables for trying the installation.
    public var environmentFile: String { "\(path)/demo.env" }
    /// The link to the policies that `--config` named last.
    public var policiesLink: String { "\(path)/policies" }
    /// The copy of the policies by which the installation runs.
    var policiesInForce: String { file("policies-in-force") }
    /// The copy that is being checked to take its place.
    var nextPolicies: String { file("policies-in-force.next") }
    /// Says that policies are to be read again even if no file of theirs has changed.
    public var reloadRequest: String { file("run/reload-requested") }
    /// What is to be said about the last reload, a line each.
    public var reloadReport: String { file("run/reload-report") }
    /// What the supervisor counts, in the form of Prometheus.
    public var supervisorMetrics: String { file("run/drawbridge.prom") }
    /// The key that signs the identity header between gateway and bridge.
    public var hopKeyFile: String { "\(path)/keys/hop.key" }
    /// The key of the hashes that stand in the ledger for what must be found and not read.
    public var auditKeyFile: String { "\(path)/keys/audit.key" }
    /// The key under which the keys that sign our tokens are stored.
    public var masterKeyFile: String { "\(path)/\(MasterKey.standardFile)" }
    /// The ledger's own directory: its records and the key that signs for them. Nobody but its process may enter.
    public var ledgerDirectory: String { "\(path)/ledger" }
    /// The demo issuer's private key.
    public var issuerKeyFile: String { "\(path)/keys/demo-issuer.private.pem" }
    /// What the demo's source of webhooks signs with.
    public var webhookSecretFile: String { file("keys/demo-pms.webhook-secret") }
    /// The demo issuer's public key.
    public var issuerPublicKeyFile: String { "\(path)/keys/demo-issuer.public.pem" }
    /// The gateway's certificate.
    public var certificateFile: String { "\(path)/tls/certificate.pem" }
    /// The gateway's private key.
    public var certificateKeyFile: String { "\(path)/tls/key.pem" }

    func file(_ name: String) -> String { "\(path)/\(name)" }

    /// Eight hexadecimal digits that tell this home's directories elsewhere from another's.
    var tag: String { Hexadecimal.encode(SHA256.hash(path).bytes.prefix(4)) }

    /// Makes the directory, for its owner alone; as root, passable for the database's user.
    ///
    /// - Throws: `InstallationError` when it is there but another user owns it or may write to it.
    public func create() throws {
        try File.makeDirectory(path, mode: SystemUser.isRoot ? 0o711 : 0o700)
        try File.makeDirectory(file("keys"), mode: 0o700)
        try File.makeDirectory(file("tls"), mode: 0o700)
    }

    /// Refuses a home that is there and another user's: what is in it, and whether an installation runs there, cannot be
    /// told then.
    ///
    /// - Throws: `InstallationError`.
    public func requireOwn() throws(InstallationError) {
        let remedy = "run as the user whose installation it is, or choose another home by \(Self.variable)"
        if let status = File.status(path) {
            guard status.st_uid == geteuid() else {
                throw InstallationError("the home \(path) belongs to another user", remedy: remedy)
            }
        } else if errno == EACCES {
            throw InstallationError("this user cannot look at the home \(path)", remedy: remedy)
        }
    }

    private static var currentDirectory: String {
        guard let directory = getcwd(nil, 0) else { return "" }
        defer { free(directory) }
        return String(cString: directory)
    }
}
