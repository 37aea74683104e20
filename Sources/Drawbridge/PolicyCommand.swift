internal import Firewall
internal import Glibc
internal import Installation
internal import Policy

/// `drawbridge policy …`
enum PolicyCommand: Equatable {
    /// Reports every mistake in a directory's policies; in those of this home where none is named.
    case check(String?)
    /// Lets the running installation go over to them.
    case reload

    init(_ arguments: inout [String]) throws(UsageError) {
        guard !arguments.isEmpty else { throw UsageError("policy what: check or reload?") }
        switch arguments.removeFirst() {
        case "check": self = .check(arguments.isEmpty ? nil : arguments.removeFirst())
        case "reload": self = .reload
        case let other: throw UsageError("policy can check and reload, not \(other)")
        }
    }

    /// Returns the exit status.
    func run() throws -> Int32 {
        let home = Home.current
        switch self {
        case .check(let directory): return try Self.check(try PolicyLocation.find(directory, home: home), home) ? 0 : 1
        case .reload: return try Self.reload(home)
        }
    }

    /// Whether the policies are in order; says what is not.
    private static func check(_ directory: String, _ home: Home) throws -> Bool {
        do {
            let policies = PolicyDirectory(path: directory, installation: home.path)
            try policies.check()
            guard try checkRules(policies) else { return false }
            Terminal.print("\(directory): the policies are in order")
            return true
        } catch let error as PolicyError {
            for mistake in error.mistakes { Terminal.print(mistake.description) }
            let count = error.mistakes.count
            Terminal.complain("\(directory): \(count) mistake\(count == 1 ? "" : "s") (other files from \(home.path))")
            return false
        }
    }

    /// Whether the firewall's engine takes its rules; says what it does not take.
    private static func checkRules(_ policies: PolicyDirectory) throws -> Bool {
        var firewall = FirewallPolicy(directory: policies.firewallRules)
        firewall.coreRules = try policies.inspection().coreRules
        do throws(FirewallError) { _ = try SecLangEngine(firewall) } catch {
            Terminal.complain(error.description)
            return false
        }
        return true
    }

    // MARK: Reloading

    /// How long replacing every worker may take: each has its drain timeout to end.
    private static let patienceInSeconds = 1800
    private static let pauseInMicroseconds: UInt32 = 50_000

    private static func reload(_ home: Home) throws -> Int32 {
        guard let process = HomeLock.holder(of: home) else {
            throw InstallationError("nothing runs in \(home.path)", remedy: "start it by: drawbridge up")
        }
        let before = ReloadCounts(home)
        // Found by the supervisor when it gets the signal. It checks the policies itself, those that it was started with.
        let request = open(home.reloadRequest, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
        guard request >= 0 else {
            throw InstallationError("cannot ask in \(home.path): \(String(cString: strerror(errno)))")
        }
        close(request)
        guard kill(process, SIGHUP) == 0 else {
            throw InstallationError("cannot ask process \(process): \(String(cString: strerror(errno)))")
        }
        for _ in 0..<patienceInSeconds * 1_000_000 / Int(pauseInMicroseconds) {
            usleep(pauseInMicroseconds)
            let now = ReloadCounts(home)
            for result in ReloadResult.allCases where now[result] > before[result] { return try told(result, home) }
            guard HomeLock.holder(of: home) == process else { throw InstallationError("it has ended meanwhile") }
        }
        throw InstallationError("it has not answered in \(patienceInSeconds) seconds; its log says more")
    }

    private static func told(_ result: ReloadResult, _ home: Home) throws -> Int32 {
        switch result {
        case .applied:
            Terminal.print("the policies are in force")
            return 0
        case .refused:
            Terminal.complain("drawbridge: the policies are refused; the old ones stay in force. The mistakes:")
            if try check(try PolicyLocation.find(nil, home: home), home) {
                Terminal.complain("drawbridge: none in the files themselves; the log of drawbridge up says more")
            }
        case .failed:
            Terminal.complain("drawbridge: a worker does not start with the policies; the old ones stay in force")
        }
        return 1
    }
}
