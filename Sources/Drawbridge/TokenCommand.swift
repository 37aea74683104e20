internal import Authentication
internal import Installation
internal import Loop
internal import Policy

/// `drawbridge token`: tokens that count no more before their time, and the keys that sign our own.
enum TokenCommand: Equatable {
    case revoke(Revocation)
    case revoked
    case keys
    case rotateKeys(atOnce: Bool)
    case withdrawKeys
    case changeMasterKey

    /// What is to be revoked.
    struct Revocation: Equatable {
        /// The word in the place of an id for the token on standard input.
        static let standardInput = "-"

        /// The `jti`; `nil` where the token itself is on standard input, which no other user of the machine sees.
        var tokenID: String?
        var issuer: String?
        var end: RevokedTokens.End?
        var reason: String?
    }

    static let usage = """
          token    revokes tokens one by one; gateways know within a second
            revoke JTI [--issuer ISS (every issuer)] [--until EXP (366 days)] [--reason TEXT]
            revoke -            the same with the id, issuer and end of the token on standard input
            revoked             lists them
                   and keeps the keys that sign this installation's own tokens
            keys                lists them
            rotate-keys [--at-once]    lets the next one sign; tokens stay good
            rotate-keys --withdraw     gives all up: no token that they signed is good any more
            change-master-key   stores them under another master key
        """

    init(_ arguments: inout [String]) throws(UsageError) {
        guard !arguments.isEmpty else {
            throw UsageError("token: revoke, revoked, keys, rotate-keys or change-master-key?")
        }
        switch arguments.removeFirst() {
        case "revoke": self = .revoke(try Self.revocation(&arguments))
        case "revoked": self = .revoked
        case "keys": self = .keys
        case "change-master-key": self = .changeMasterKey
        case "rotate-keys":
            switch arguments.first {
            case "--withdraw": self = .withdrawKeys
            case "--at-once": self = .rotateKeys(atOnce: true)
            default:
                self = .rotateKeys(atOnce: false)
                return
            }
            arguments.removeFirst()
        case let other: throw UsageError("token: no such command: \(other)")
        }
    }

    func run() throws {
        try Loop.run {
            let settings = try Settings()
            let tokens = try RevokedTokens(.current, settings, tools: Tools())
            let keys = try SigningKeys(.current, settings, tools: Tools())
            switch self {
            case .keys:
                Terminal.print(table: ["KEY", "STATE", "SINCE", "MADE", "MASTER KEY"], try await keys.list())
            case .rotateKeys(let atOnce):
                try await keys.rotate(atOnce: atOnce)
                Terminal.complain("the next key signs; tokens of the one before it stay good")
            case .withdrawKeys:
                Terminal.complain(
                    "\(try await keys.withdraw()) keys are withdrawn; bridges make others within a second")
            case .changeMasterKey:
                let count = try await keys.changeMasterKey { Terminal.print($0) }
                Terminal.complain("\(count) keys are stored under another master key")
            case .revoke(let revocation): try await Self.revoke(revocation, tokens)
            case .revoked:
                Terminal.print(
                    table: ["JTI", "ISSUER", "REVOKED", "HELD UNTIL", "BY", "REASON"], try await tokens.list())
            }
        }
    }

    @OnLoop
    private static func revoke(_ revocation: Revocation, _ tokens: RevokedTokens) async throws {
        var revocation = revocation
        let tokenID: String
        if let given = revocation.tokenID {
            tokenID = given
        } else {
            guard let token = readLine() else { throw UsageError("no token on standard input") }
            let reference: TokenReference
            do { reference = try TokenReference(token) } catch {
                throw InstallationError("not a token that can be revoked by its id: \(error.reason)")
            }
            tokenID = reference.tokenID
            revocation.issuer = revocation.issuer ?? reference.issuer
            revocation.end = revocation.end ?? reference.expiry.flatMap { RevokedTokens.End("\($0)") }
        }
        if let issuer = revocation.issuer { warnIfUnknown(issuer) }
        let end = try await tokens.revoke(
            tokenID, issuer: revocation.issuer, until: revocation.end, reason: revocation.reason)
        Terminal.complain("token \(tokenID) of \(revocation.issuer ?? "every issuer") is revoked until \(end)")
    }

    /// A name that is a letter off would revoke nothing, and nobody would notice.
    private static func warnIfUnknown(_ issuer: String) {
        let home = Home.current
        guard let directory = try? PolicyLocation.find(nil, home: home),
            let policy = try? PolicyDirectory(path: directory, installation: home.path).issuers(),
            !policy.believed.contains(where: { $0.issuer == issuer })
        else { return }
        Terminal.complain("drawbridge: no issuer of that name is in \(directory)/issuers.yaml")
    }

    private static func revocation(_ arguments: inout [String]) throws(UsageError) -> Revocation {
        guard let tokenID = arguments.first else { throw UsageError("which token? Its jti, or - to read it") }
        arguments.removeFirst()
        guard TokenRevocations.isTokenID(tokenID) else {
            throw UsageError("a jti has 1 to 255 bytes without control characters")
        }
        var revocation = Revocation(tokenID: tokenID == Revocation.standardInput ? nil : tokenID)
        options: while let name = arguments.first {
            switch name {
            case "--issuer": revocation.issuer = try takeValue(&arguments)
            case "--until":
                guard let end = RevokedTokens.End(try takeValue(&arguments)) else {
                    throw UsageError("--until takes the token's exp, or a time such as 2027-01-10T12:00:00Z")
                }
                revocation.end = end
            case "--reason": revocation.reason = try takeValue(&arguments)
            default: break options
            }
        }
        return revocation
    }
}
