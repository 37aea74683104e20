internal import Glibc
public import Policy

/// The policies that a running installation's processes read: a copy, made and checked when it starts.
///
/// So a process that is started again runs by the same policies as the others, whatever has been edited meanwhile, and an
/// edit that is not finished keeps nothing from coming back. The copy is in the home, where nobody else may write, wherever
/// the sockets are: these alone need a short path.
public enum PoliciesInForce {
    /// Copies the policies of a directory, and checks what was copied.
    ///
    /// - Throws: `PolicyError` with the mistakes, by the names of the files copied.
    public static func adopt(_ directory: String, home: Home) throws -> PolicyDirectory {
        let files = try PolicyDirectory(path: directory, installation: home.path).contents()
        try File.makeDirectory(home.policiesInForce, mode: 0o700)
        try File.makeDirectory("\(home.policiesInForce)/\(PolicyDirectory.rulesDirectory)", mode: 0o700)
        for (name, bytes) in files { try File.write(bytes, to: "\(home.policiesInForce)/\(name)", mode: 0o600) }
        let copy = PolicyDirectory(path: home.policiesInForce, installation: home.path)
        try copy.check(copiedFrom: directory)
        return copy
    }

    /// Removes the copy when the run is over.
    public static func remove(_ home: Home) {
        for name in PolicyDirectory.fileNames + PolicyDirectory.ruleFileNames {
            unlink("\(home.policiesInForce)/\(name)")
        }
        rmdir("\(home.policiesInForce)/\(PolicyDirectory.rulesDirectory)")
        rmdir(home.policiesInForce)
    }

    /// Whether a directory's policies are no longer those by which the home's installation runs.
    static func differ(from directory: String, home: Home) -> Bool {
        guard let copy = try? PolicyDirectory(path: home.policiesInForce, installation: home.path).contents()
        else {
            return false
        }
        let files = (try? PolicyDirectory(path: directory, installation: home.path).contents()) ?? []
        return !files.elementsEqual(copy) { $0.name == $1.name && $0.bytes == $1.bytes }
    }
}
