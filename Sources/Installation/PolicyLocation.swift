internal import Glibc

/// The directory with the policy files.
public enum PolicyLocation {
    /// The file that makes a directory one of policies.
    static let mark = "gateway.yaml"

    /// Finds it: what `--config` names, what it named last, `Policies` here, `Policies` of the package the executable
    /// was built in, `/etc/drawbridge`.
    ///
    /// - Throws: `InstallationError` when there is none, or the named one is not one.
    public static func find(_ named: String?, home: Home) throws(InstallationError) -> String {
        if let named {
            guard let path = File.resolve(named), File.exists("\(path)/\(mark)") else {
                throw InstallationError("\(named) holds no \(mark)", remedy: "--config names the policies' directory")
            }
            return path
        }
        let candidates = [home.policiesLink, "Policies"] + besideExecutable + ["/etc/drawbridge"]
        for candidate in candidates {
            if let path = File.resolve(candidate), File.exists("\(path)/\(mark)") { return path }
        }
        throw InstallationError(
            "no policies found in \(candidates.joined(separator: ", "))", remedy: "name their directory by --config")
    }

    /// Remembers the directory for later commands in this home.
    public static func remember(_ path: String, home: Home) throws { try File.link(home.policiesLink, to: path) }

    private static var besideExecutable: [String] {
        guard var directory = File.resolve("/proc/self/exe").map(File.directory) else { return [] }
        while directory != "/" {
            if File.exists("\(directory)/Package.swift") { return ["\(directory)/Policies"] }
            directory = File.directory(of: directory)
        }
        return []
    }
}
