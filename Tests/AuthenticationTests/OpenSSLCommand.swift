import Cryptography
import Foundation

/// An RSA key made and used by the `openssl` command, since nothing of ours signs with RSA.
struct RSAKey: Sendable {
    let publicKey: String
    private let privateKey: Data

    /// Made once for all tests.
    static let shared = Result { try RSAKey(bits: 2048) }

    init(bits: Int) throws {
        let size = "rsa_keygen_bits:\(bits)"
        privateKey = try Self.openssl(["genpkey", "-quiet", "-algorithm", "RSA", "-pkeyopt", size])
        publicKey = String(decoding: try Self.openssl(["pkey", "-pubout"], input: privateKey), as: UTF8.self)
    }

    func signature(for message: String) throws -> [UInt8] {
        let file = FileManager.default.temporaryDirectory.appending(path: "drawbridge-\(UUID().uuidString).pem")
        try privateKey.write(to: file)
        defer { try? FileManager.default.removeItem(at: file) }
        return [UInt8](try Self.openssl(["dgst", "-sha256", "-sign", file.path], input: Data(message.utf8)))
    }

    func token(
        header: String = TokenMaker.header("RS256", kid: "rsa"), claims: String = TokenMaker.claims()
    ) throws -> String {
        let input = TokenMaker.signingInput(header, claims)
        return input + "." + Base64.url.encode(try signature(for: input))
    }

    private struct CommandFailed: Error {}

    private static func openssl(_ arguments: [String], input: Data = Data()) throws -> Data {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = ["openssl"] + arguments
        let (stdin, stdout) = (Pipe(), Pipe())
        process.standardInput = stdin
        process.standardOutput = stdout
        try process.run()
        // `genpkey` reads nothing and may be gone already, which would raise SIGPIPE.
        if !input.isEmpty { try stdin.fileHandleForWriting.write(contentsOf: input) }
        try stdin.fileHandleForWriting.close()
        let output = try stdout.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else { throw CommandFailed() }
        return output
    }
}
