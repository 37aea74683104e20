import Telemetry
import Testing

@Suite("Trace context")
struct TraceContextTests {
    private static func read(_ field: String) -> TraceContext? { TraceContext(field.utf8Span.span) }

    private static func text(_ context: TraceContext) -> String {
        String(capacity: 55) { context.append(to: &$0) }
    }

    // The example of the specification, §3.2.2.
    static let example = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

    @Test("What is valid is read, and written as it was")
    func valid() throws {
        let context = try #require(Self.read(Self.example))
        #expect(context.traceID == 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736)
        #expect(context.spanID == 0x00f0_67aa_0ba9_02b7)
        #expect(context.flags == 1)
        #expect(Self.text(context) == Self.example)
    }

    @Test("A span of ours asks in the same trace")
    func asked() throws {
        let context = try #require(Self.read("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-ff"))
        #expect(
            Self.text(context.asked(by: 0xabc)) == "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000abc-01")
    }

    @Test(
        "A later version is read as far as it is like ours",
        arguments: [
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-the-future-adds",
        ])
    func later(_ text: String) { #expect(Self.read(text)?.spanID == 0x00f0_67aa_0ba9_02b7) }

    @Test(
        "What is not valid does not count",
        arguments: [
            "", "00", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0g",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01more",
            "00_4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7_01",
        ])
    func invalid(_ text: String) { #expect(Self.read(text) == nil) }
}
