import Glibc
import Loop
import Testing

@testable import Installation

@Suite("Programs that are run to their end", .serialized)
struct ToolsTests {
    init() { Loop.runInBackground() }

    @Test("One that nobody waits for any more is ended", .timeLimit(.minutes(1)))
    @OnLoop func cancelled() async throws {
        var template = Array("/tmp/dbt-XXXXXX".utf8CString)
        try #require(mkdtemp(&template) != nil)
        let directory = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
        let file = "\(directory)/number"
        defer {
            unlink(file)
            rmdir(directory)
        }
        let tools = Tools()
        let running = Task {
            try await tools.run(["sh", "-c", "echo $$ > \(file).new; mv \(file).new \(file); exec sleep 1000"])
        }
        while access(file, R_OK) != 0 { try await Loop.sleep(for: .milliseconds(10)) }
        let text = try #require(try InstallationFile.text(file))
        let process = try #require(Int32(text.split(separator: "\n").first ?? ""))
        running.cancel()
        await #expect(throws: CancellationError.self) { _ = try await running.value }
        while kill(process, 0) == 0 { try await Loop.sleep(for: .milliseconds(10)) }
        #expect(try await tools.require(["true"]) == "", "others are run as before")
    }
}
