import Testing

@testable import Installation

@Suite("What doctor says of the disk")
struct DiskSpaceTests {
    @Test(
        "Full is wrong, nearly full a warning",
        arguments: [
            (0, .wrong, "full: 0 MiB are free"), (63 << 20, .wrong, "full: 63 MiB are free"),
            (64 << 20, .warning, "nearly full: 64 MiB are free"), (1 << 30, .well, nil),
        ] as [(UInt64, Finding.Weight, String?)])
    func weights(free: UInt64, weight: Finding.Weight, complaint: String?) {
        let finding = DiskSpace(freeBytes: free).finding("/home")
        #expect(finding.weight == weight)
        #expect(finding.complaint == complaint)
    }

    @Test("It can be told for a directory that is there")
    func real() throws {
        #expect(try #require(DiskSpace("/tmp")).freeBytes > 0)
        #expect(DiskSpace("/no/such/directory") == nil)
    }
}
