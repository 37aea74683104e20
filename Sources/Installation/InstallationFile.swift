/// Small files of a running installation, for its commands.
public enum InstallationFile {
    /// The text of a file; nil where there is none.
    public static func text(_ path: String) throws -> String? { try File.readText(path) }

    /// Replaces a file in one step.
    public static func write(_ bytes: [UInt8], to path: String) throws { try File.write(bytes, to: path, mode: 0o600) }
}
