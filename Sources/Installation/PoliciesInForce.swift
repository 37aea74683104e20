internal import Glibc
internal import Lifecycle
public import Policy

/// The policies that a running installation's processes read: a copy, made and checked when it starts.
///
/// So a process that is started again runs by the same policies as the others, whatever has been edited meanwhile, and
/// an edit that is not finished keeps nothing from coming back. The copy is in the home, where nobody else may write,
/// wherever the sockets are: these alone need a short path.
public enum PoliciesInForce {
    /// Copies the policies of a directory, and checks what was copied, before anything runs by them.
    ///
    /// - Throws: `PolicyError` with the mistakes, by the names of the files copied.
    public static func adopt(_ directory: String, home: Home) throws -> PolicyDirectory {
        remove(home)
        return try copy(directory, to: home.policiesInForce, home, expired: .allAllowed)
    }

    /// The files of the policies in force, by name.
    public static func contents(_ home: Home) throws -> [String: [UInt8]] {
        let files = try PolicyDirectory(path: home.policiesInForce, installation: home.path).contents()
        return Dictionary(files.map { ($0.name, $0.bytes) }, uniquingKeysWith: { first, _ in first })
    }

    /// Copies the policies of a directory beside those in force, and checks what was copied. Nothing runs by them yet.
    ///
    /// - Throws: `PolicyError` with the mistakes, by the names of the files copied.
    public static func prepareNext(_ directory: String, home: Home) throws -> PolicyDirectory {
        remove(home.nextPolicies)
        let inForce = PolicyDirectory(path: home.policiesInForce, installation: home.path)
        let shown = ((try? inForce.gateway())?.listeners ?? []).compactMap(\.tls?.certificateFile)
        return try copy(directory, to: home.nextPolicies, home, expired: .allowed(at: Set(shown)))
    }

    /// Puts the prepared policies in force, all in one step: a process that is started meanwhile reads the old ones or
    /// the new ones. Called again, it puts the old ones back.
    public static func exchange(_ home: Home) throws {
        guard FileExchange.exchange(home.nextPolicies, home.policiesInForce) else {
            throw File.failure(home.policiesInForce)
        }
    }

    private static func copy(
        _ directory: String, to target: String, _ home: Home, expired: ExpiredCertificates
    ) throws -> PolicyDirectory {
        let files = try PolicyDirectory(path: directory, installation: home.path).contents()
        try File.makeDirectory(target, mode: 0o700)
        try File.makeDirectory("\(target)/\(PolicyDirectory.rulesDirectory)", mode: 0o700)
        for (name, bytes) in files { try File.write(bytes, to: "\(target)/\(name)", mode: 0o600) }
        let copy = PolicyDirectory(path: target, installation: home.path)
        try copy.check(copiedFrom: directory, expired: expired)
        return copy
    }

    /// Removes the copies when the run is over.
    public static func remove(_ home: Home) {
        remove(home.policiesInForce)
        remove(home.nextPolicies)
    }

    private static func remove(_ directory: String) {
        for name in PolicyDirectory.fileNames + PolicyDirectory.ruleFileNames { unlink("\(directory)/\(name)") }
        rmdir("\(directory)/\(PolicyDirectory.rulesDirectory)")
        rmdir(directory)
    }

    /// Whether a directory's policies are no longer those by which the home's installation runs.
    public static func differ(from directory: String, home: Home) -> Bool {
        guard let copy = try? PolicyDirectory(path: home.policiesInForce, installation: home.path).contents()
        else {
            return false
        }
        let files = (try? PolicyDirectory(path: directory, installation: home.path).contents()) ?? []
        return !files.elementsEqual(copy) { $0.name == $1.name && $0.bytes == $1.bytes }
    }
}
