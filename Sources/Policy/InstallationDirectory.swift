internal import Glibc

/// The directory of one installation, from which relative paths in policies start.
struct InstallationDirectory: Sendable {
    let path: String

    /// A path in the policy, made to start from the installation unless it is absolute.
    func path(_ text: String) -> String { text.hasPrefix("/") ? text : "\(path)/\(text)" }

    /// The path of a file that must be there and readable.
    func existingFile(_ mapping: PolicyMapping, _ key: String, expected: String) -> String {
        guard let node = mapping.required(key, expected: expected), let text = node.text(expected) else { return "" }
        let path = path(text)
        if access(path, R_OK) != 0 {
            node.refuse(expected: "a readable file", found: "\(text) (\(String(cString: strerror(errno))))")
        }
        return path
    }
}
