import Cryptography
import Foundation

/// An RSA key made and used by the `openssl` command, since nothing of ours signs with RSA.
struct RSAKey: Sendable {
    let publicKey: String
    private let privateKey: URL

    /// Made once for all tests.
    static let shared = Result { try RSAKey(bits: 2048) }

    init(bits: Int) throws {
        privateKey = FileManager.default.temporaryDirectory.appending(path: "drawbridge-\(UUID().uuidString).pem")
        _ = try Self.openssl(
            ["genpkey", "-quiet", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:\(bits)", "-out", privateKey.path])
        publicKey = String(
            decoding: try Self.openssl(["pkey", "-in", privateKey.path, "-pubout"]), as: UTF8.self)
    }

    func signature(for message: String) throws -> [UInt8] {
        [UInt8](try Self.openssl(["dgst", "-sha256", "-sign", privateKey.path], input: message))
    }

    func token(header: String = TokenMaker.header("RS256", kid: "rsa"), claims: String = TokenMaker.claims()) throws
        -> String
    {
        let input = TokenMaker.signingInput(header, claims)
        return input + "." + Base64.url.encode(try signature(for: input))
    }

    private struct CommandFailed: Error {}

    private static func openssl(_ arguments: [String], input: String = "") throws -> Data {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = ["openssl"] + arguments
        let (stdin, stdout) = (Pipe(), Pipe())
        process.standardInput = stdin
        process.standardOutput = stdout
        try process.run()
        try stdin.fileHandleForWriting.write(contentsOf: Data(input.utf8))
        try stdin.fileHandleForWriting.close()
        let output = try stdout.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else { throw CommandFailed() }
        return output
    }
}
