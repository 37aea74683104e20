import Loop
import Telemetry
import Testing

@Suite("Metrics")
struct MetricsTests {
    init() { Loop.runInBackground() }

    @OnLoop
    private func rendered(_ name: String) -> [String] {
        String(decoding: Metrics.render(), as: UTF8.self).split(separator: "\n").map(String.init)
            .filter { $0.contains(name) }
    }

    @Test("a counter is rendered with its help, its type and its labels")
    @OnLoop
    func counter() {
        Metrics.counter("test_a_total", "What it counts.", [("kind", "x"), ("way", "y")]).increment(by: 3)
        Metrics.counter("test_a_total", "What it counts.").increment()
        #expect(
            rendered("test_a_total") == [
                "# HELP test_a_total What it counts.", "# TYPE test_a_total counter",
                #"test_a_total{kind="x",way="y"} 3"#, "test_a_total 1",
            ])
    }

    @Test("the same name and labels give the same series")
    @OnLoop
    func same() {
        let first = Metrics.gauge("test_b", "b", [("kind", "x")])
        #expect(Metrics.gauge("test_b", "b", [("kind", "x")]) === first)
        #expect(Metrics.gauge("test_b", "b", [("kind", "y")]) !== first)
    }

    @Test("a label's value cannot end its string or its line")
    @OnLoop
    func escaping() {
        Metrics.gauge("test_c", "c", [("kind", "a\"b\\c\nd")]).value = 1.5
        #expect(rendered("test_c{") == [#"test_c{kind="a\"b\\c\nd"} 1.5"#])
    }

    @Test("a gauge may be asked for its number when it is read")
    @OnLoop
    func read() {
        let source = Metrics.gauge("test_d_source", "The source.")
        Metrics.gauge("test_d", "d") { source.value }
        source.value = 2
        #expect(rendered("test_d ").last == "test_d 2.0")
    }

    @Test("a histogram counts up to and with each bound")
    @OnLoop
    func histogram() {
        let histogram = Metrics.histogram("test_e_seconds", "e", [("kind", "x")])
        for nanoseconds: UInt64 in [1, 50_000, 50_001, 20_000_000_000] { histogram.record(nanoseconds: nanoseconds) }
        let lines = rendered("test_e_seconds")
        #expect(lines.contains(#"test_e_seconds_bucket{kind="x",le="5e-05"} 2"#))
        #expect(lines.contains(#"test_e_seconds_bucket{kind="x",le="0.0001"} 3"#))
        #expect(lines.contains(#"test_e_seconds_bucket{kind="x",le="10.0"} 3"#))
        #expect(lines.contains(#"test_e_seconds_bucket{kind="x",le="+Inf"} 4"#))
        #expect(lines.contains(#"test_e_seconds_count{kind="x"} 4"#))
        #expect(lines.contains { $0.hasPrefix(#"test_e_seconds_sum{kind="x"} 20.0001"#) })
    }

    @Test("merging tells each family once, with the series of all")
    @OnLoop
    func merge() {
        let first =
            "# HELP a A.\n# TYPE a counter\na{process=\"1\"} 1\n# HELP b B.\n# TYPE b gauge\nb{process=\"1\"} 2\n"
        let second =
            "# HELP b B.\n# TYPE b gauge\nb{process=\"2\"} 3\n# HELP a A.\n# TYPE a counter\na{process=\"2\"} 4\n"
        let merged = String(decoding: Metrics.merge([Array(first.utf8), Array(second.utf8)]), as: UTF8.self)
        #expect(
            merged == """
                # HELP a A.
                # TYPE a counter
                a{process="1"} 1
                a{process="2"} 4
                # HELP b B.
                # TYPE b gauge
                b{process="1"} 2
                b{process="2"} 3

                """)
    }
}
