/// PostgreSQL's note of the server that runs in a data directory, `postmaster.pid`.
struct PostmasterFile: Equatable {
    let processID: Int32
    /// The eighth line: `ready` once connections are served.
    let status: String

    init?(_ text: String) {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        guard let processID = lines.first.flatMap({ Int32($0) }), processID > 1 else { return nil }
        self.processID = processID
        status = lines.count > 7 ? String(lines[7].prefix { $0 != " " }) : ""
    }

    static func read(_ directory: String) -> PostmasterFile? {
        (try? File.readText("\(directory)/postmaster.pid")).flatMap { PostmasterFile($0) }
    }

    func isReady(processID: Int32) -> Bool { self.processID == processID && status == "ready" }
}

/// A process that is no child of ours.
enum LeftoverProcess {
    /// Whether the process lives and is the server of this data directory: numbers are used again.
    static func isPostgres(_ processID: Int32, in directory: String) -> Bool {
        guard let status = try? File.readText("/proc/\(processID)/stat"),
            // The name stands in parentheses and may hold any character; the state follows it.
            let open = status.firstIndex(of: "("), let close = status.lastIndex(of: ")")
        else { return false }
        let state = status[close...].dropFirst(2).first
        guard status[open...close] == "(postgres)", state != "Z", state != "X" else { return false }
        // It is about to be sent a signal: where it works must be known, not supposed.
        guard let workingDirectory = File.resolve("/proc/\(processID)/cwd") else { return false }
        return workingDirectory == File.resolve(directory)
    }

    /// The processes that make a cluster in a directory, or remove one from it: by where they work, or by what they were
    /// told.
    static func makers(of directory: String) -> [Int32] {
        let place = File.resolve(directory)
        return File.names(in: "/proc").compactMap { Int32($0) }.filter { id in
            guard let name = try? File.readText("/proc/\(id)/comm")?.trimmingNewline,
                ["initdb", "postgres", "setpriv", "rm"].contains(name)
            else { return false }
            if let place, File.resolve("/proc/\(id)/cwd") == place { return true }
            let words = (try? File.readText("/proc/\(id)/cmdline"))?.split(separator: "\0") ?? []
            return words.contains { $0 == directory }
        }
    }
}
