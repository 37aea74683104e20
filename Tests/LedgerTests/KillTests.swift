import Cryptography
import Glibc
import Testing

@testable import Ledger

@Suite("A writer that is killed", .serialized)
struct KillTests {
    private let fixture = LedgerFixture()

    @Test("loses nothing it acknowledged, wherever the kill hits it")
    func killed() throws {
        let seed = [UInt8](repeating: 7, count: Ed25519PrivateKey.seedByteCount)
        let signer = try NoteSigner(name: "test.example/killed", key: Ed25519PrivateKey(seed: seed.span))
        let verifier = LedgerVerifier(directory: fixture.path, origin: signer.verifier.name, keys: [signer.verifier])
        for _ in 0..<60 {
            let promised = try runAndKill(afterLines: Int.random(in: 0...60))
            let before = try verifier.verify()
            #expect(before.finding == nil)
            #expect(before.size >= promised)
            let size = try LedgerWriter.open(directory: fixture.path, signer: signer).size
            #expect(size == before.size + (before.incompleteByteCount > 0 || before.size == 0 ? 1 : 0))
            #expect(try verifier.verify().finding == nil)
        }
    }

    /// Starts a writer, reads so many of its promises, kills it, and returns the most that it promised.
    private func runAndKill(afterLines count: Int) throws -> UInt64 {
        var ends: [Int32] = [0, 0]
        try #require(pipe(&ends) == 0)
        // Whatever else the test run starts must not hold the pipe open.
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO)
        var process = pid_t()
        let program = try directoryOfTests() + "/ledger-test-writer"
        var arguments: [UnsafeMutablePointer<CChar>?] = [strdup(program), strdup(fixture.path), nil]
        let status = posix_spawn(&process, program, &actions, nil, &arguments, environ)
        for argument in arguments { free(argument) }
        posix_spawn_file_actions_destroy(&actions)
        close(ends[1])
        try #require(status == 0)
        defer { close(ends[0]) }

        var output: [UInt8] = []
        var byte: UInt8 = 0
        var lines = 0
        while lines < count, read(ends[0], &byte, 1) == 1 {
            output.append(byte)
            if byte == UInt8(ascii: "\n") { lines += 1 }
        }
        // Anywhere in what it does next.
        usleep(UInt32.random(in: 0...1500))
        kill(process, SIGKILL)
        while read(ends[0], &byte, 1) == 1 { output.append(byte) }
        waitpid(process, nil, 0)
        let complete = output[...(output.lastIndex(of: UInt8(ascii: "\n")) ?? -1)]
        return String(decoding: complete, as: UTF8.self).split(separator: "\n").compactMap { UInt64($0.dropFirst(2)) }
            .max() ?? 0
    }

    private func directoryOfTests() throws -> String {
        var buffer = [CChar](repeating: 0, count: 4096)
        let count = readlink("/proc/self/exe", &buffer, buffer.count)
        try #require(count > 0)
        let path = String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
        // The test program itself, or the runner beside which nothing of ours is.
        let own = CommandLine.arguments.first { $0.hasSuffix(".xctest") } ?? path
        return String(own[..<(own.lastIndex(of: "/") ?? own.startIndex)])
    }
}
