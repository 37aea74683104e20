internal import Glibc
internal import Installation
internal import Policy

/// `drawbridge policy …`
enum PolicyCommand: Equatable {
    /// Reports every mistake in a directory's policies; in those of this home where none is named.
    case check(String?)
    /// Reports those in a directory's firewall rules alone; for the supervisor, which has checked the rest.
    case checkRules(String)
    /// Lets the running installation go over to them.
    case reload

    init(_ arguments: inout [String]) throws(UsageError) {
        guard !arguments.isEmpty else { throw UsageError("policy what: check or reload?") }
        switch arguments.removeFirst() {
        case "check": self = .check(arguments.isEmpty ? nil : arguments.removeFirst())
        case "check-rules" where !arguments.isEmpty: self = .checkRules(arguments.removeFirst())
        case "reload": self = .reload
        case let other: throw UsageError("policy can check and reload, not \(other)")
        }
    }

    /// Returns the exit status.
    func run() throws -> Int32 {
        let home = Home.current
        switch self {
        case .check(let directory):
            let path = try PolicyLocation.find(directory, home: home)
            let policies = PolicyDirectory(path: path, installation: home.path)
            return Self.report(PolicyCheck.mistakes(in: policies), policies)
        case .checkRules(let directory):
            let policies = PolicyDirectory(path: directory, installation: home.path)
            return Self.report(PolicyCheck.ruleMistakes(in: policies), policies)
        case .reload: return try Self.reload(home)
        }
    }

    /// Says what is wrong with policies; returns the exit status.
    private static func report(_ mistakes: [String], _ policies: PolicyDirectory) -> Int32 {
        for mistake in mistakes { Terminal.print(mistake) }
        guard mistakes.isEmpty else {
            let count = "\(mistakes.count) mistake\(mistakes.count == 1 ? "" : "s")"
            Terminal.complain("\(policies.path): \(count) (other files from \(policies.installation))")
            return 1
        }
        Terminal.print("\(policies.path): the policies are in order")
        return 0
    }

    // MARK: Reloading

    /// How long replacing every worker may take: each has its drain timeout to end.
    private static let patienceInSeconds = 1800
    private static let pauseInMicroseconds: UInt32 = 50_000

    private static func reload(_ home: Home) throws -> Int32 {
        try home.requireOwn()
        guard let process = HomeLock.holder(of: home) else {
            throw InstallationError("nothing runs in \(home.path)", remedy: "start it by: drawbridge up")
        }
        let before = ReloadCounts(home)
        // Found by the supervisor when it gets the signal. It checks the policies itself, those that it was started
        // with.
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
        let report = (try InstallationFile.text(home.reloadReport) ?? "").split(separator: "\n").map(String.init)
        switch result {
        case .applied:
            Terminal.print("the policies are in force")
            for remark in report { Terminal.complain("drawbridge: \(remark)") }
            return 0
        case .refused:
            for mistake in report { Terminal.print(mistake) }
            Terminal.complain("drawbridge: the policies are refused; the old ones stay in force")
        case .failed:
            Terminal.complain("drawbridge: a worker does not start with the policies; the old ones stay in force")
            for reason in report { Terminal.complain("drawbridge: \(reason); the log says why") }
        }
        return 1
    }
}
