internal import Authentication
internal import Cryptography
internal import FoundationEssentials
internal import Glibc
internal import Loop

/// Where the master key is: in the environment, or in a file that may be another one by the next time.
struct MasterKeySource: Sendable {
    /// Why there is no master key; without anything of the key itself.
    struct Missing: Error, CustomStringConvertible {
        let description: String
    }

    /// What the environment says; it goes over the file.
    let variable: String?
    let file: String

    init(file: String) {
        self.file = file
        let text = getenv(MasterKey.variable).map { String(cString: $0) } ?? ""
        variable = text.isEmpty ? nil : text
    }

    /// Where the key is, for whoever has to look.
    var description: String { variable == nil ? file : "$\(MasterKey.variable)" }

    /// The key as it is now.
    ///
    /// - Throws: `Missing`.
    @OnLoop
    func read() async throws -> MasterKey { try await Loop.offload { try self.readNow() } }

    private func readNow() throws -> MasterKey {
        do { return try MasterKey(text: try variable ?? contents()) } catch let error as CryptographyError {
            throw Missing(description: "\(description): \(error)")
        }
    }

    private func contents() throws -> String {
        var status = stat()
        guard stat(file, &status) == 0 else {
            throw Missing(description: "\(file): \(String(cString: strerror(errno)))")
        }
        guard status.st_mode & 0o077 == 0 else {
            throw Missing(description: "\(file) may be read by others than its owner (chmod 600)")
        }
        guard let text = try? String(contentsOfFile: file, encoding: .utf8) else {
            throw Missing(description: "\(file) cannot be read")
        }
        return text
    }
}
