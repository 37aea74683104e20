public import Loop

/// The process's metrics, rendered in the Prometheus text format, version 0.0.4.
///
/// Every series is made when the process starts or from a bounded set of label values; recording is an addition.
@OnLoop
public enum Metrics {
    public typealias Labels = [(name: StaticString, value: String)]

    private static var families: [Family] = []
    private static var processLabel = ""

    /// Names this process in every series; to be called before the first is made.
    ///
    /// - Parameter restarts: how often the process has been restarted in its place.
    public static func start(process: String, restarts: Int) {
        processLabel = "process=\"\(process)\""
        gauge("drawbridge_process_restarts", "How often this process was restarted in its place.").value =
            Double(restarts)
        gauge("drawbridge_process_start_time_seconds", "When this process started, in Unix time.").value =
            Loop.unixTime
    }

    /// A number that only grows. Asking for the same name and labels again gives the same counter.
    public static func counter(_ name: StaticString, _ help: StaticString, _ labels: Labels = []) -> Counter {
        series(name, help, "counter", labels) { Counter() }
    }

    /// A number that goes up and down.
    public static func gauge(_ name: StaticString, _ help: StaticString, _ labels: Labels = []) -> Gauge {
        series(name, help, "gauge", labels) { Gauge() }
    }

    /// A number asked for when the metrics are read; nil while there is none to tell.
    public static func gauge(
        _ name: StaticString, _ help: StaticString, _ labels: Labels = [], _ read: @escaping @OnLoop () -> Double?
    ) {
        let gauge: Gauge = series(name, help, "gauge", labels) { Gauge() }
        gauge.read = read
    }

    /// How durations are spread, in seconds.
    public static func histogram(_ name: StaticString, _ help: StaticString, _ labels: Labels = []) -> Histogram {
        series(name, help, "histogram", labels) { Histogram() }
    }

    /// Everything, as the body of an answer to Prometheus.
    public static func render() -> [UInt8] {
        var text = ""
        for family in families {
            text += "# HELP \(family.name) \(family.help)\n# TYPE \(family.name) \(family.type)\n"
            for (labels, series) in family.series { series.render(family.name, labels, into: &text) }
        }
        return Array(text.utf8)
    }

    /// Puts several processes' metrics together: each family once, with the series of all.
    public static func merge(_ texts: [[UInt8]]) -> [UInt8] {
        var order: [Substring] = []
        var heads: [Substring: String] = [:]
        var series: [Substring: String] = [:]
        for text in texts {
            var family: Substring = ""
            let text = String(decoding: text, as: UTF8.self)
            for line in text.split(separator: "\n") {
                if line.hasPrefix("# HELP ") || line.hasPrefix("# TYPE ") {
                    family = line.dropFirst(7).prefix { $0 != " " }
                    if series[family] == nil {
                        series[family] = ""
                        order.append(family)
                    }
                    // Each process tells the same two lines.
                    if heads[family, default: ""].contains(line.prefix(7)) { continue }
                    heads[family, default: ""] += line + "\n"
                } else {
                    series[family, default: ""] += line + "\n"
                }
            }
        }
        return Array(order.map { heads[$0]! + series[$0]! }.joined().utf8)
    }

    private struct Family {
        let name: StaticString
        let help: StaticString
        let type: StaticString
        var series: [(labels: String, series: any Series)]
    }

    private static func series<Kind: Series>(
        _ name: StaticString, _ help: StaticString, _ type: StaticString, _ labels: Labels, _ make: () -> Kind
    ) -> Kind {
        let labels = render(labels)
        guard let index = families.firstIndex(where: { $0.name.description == name.description }) else {
            let new = make()
            families.append(Family(name: name, help: help, type: type, series: [(labels, new)]))
            return new
        }
        if let known = families[index].series.first(where: { $0.labels == labels })?.series as? Kind { return known }
        let new = make()
        families[index].series.append((labels, new))
        return new
    }

    private static func render(_ labels: Labels) -> String {
        let own = processLabel.isEmpty ? [] : [processLabel]
        return
            (own
            + labels.map { label in
                let value = label.value.reduce(into: "") { escaped, character in
                    switch character {
                    case "\\", "\"": escaped += "\\\(character)"
                    case "\n": escaped += "\\n"
                    default: escaped.append(character)
                    }
                }
                return "\(label.name)=\"\(value)\""
            }).joined(separator: ",")
    }
}

@OnLoop
protocol Series: AnyObject {
    func render(_ name: StaticString, _ labels: String, into text: inout String)
}

/// A number that only grows.
@OnLoop
public final class Counter: Series {
    public private(set) var value: UInt64 = 0

    @inline(__always)
    public func increment(by amount: UInt64 = 1) { value &+= amount }

    func render(_ name: StaticString, _ labels: String, into text: inout String) {
        text += labels.isEmpty ? "\(name) \(value)\n" : "\(name){\(labels)} \(value)\n"
    }
}

/// A number that goes up and down.
@OnLoop
public final class Gauge: Series {
    public var value: Double = 0
    fileprivate(set) var read: (@OnLoop () -> Double?)?

    func render(_ name: StaticString, _ labels: String, into text: inout String) {
        guard let value = read.map({ $0() }) ?? self.value else { return }
        text += labels.isEmpty ? "\(name) \(value)\n" : "\(name){\(labels)} \(value)\n"
    }
}

/// How durations are spread: cumulative counts under fixed bounds from 50 µs to 10 s.
@OnLoop
public final class Histogram: Series {
    /// Upper bounds in nanoseconds.
    private static let bounds: [UInt64] = [
        50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000, 10_000_000, 25_000_000, 50_000_000,
        100_000_000, 250_000_000, 500_000_000, 1_000_000_000, 2_500_000_000, 5_000_000_000, 10_000_000_000,
    ]

    private var counts = [UInt64](repeating: 0, count: bounds.count + 1)
    private var sum: UInt64 = 0

    public func record(nanoseconds: UInt64) {
        var index = 0
        while index < Self.bounds.count, nanoseconds > Self.bounds[index] { index += 1 }
        counts[index] += 1
        sum &+= nanoseconds
    }

    func render(_ name: StaticString, _ labels: String, into text: inout String) {
        let prefix = labels.isEmpty ? "" : labels + ","
        var total: UInt64 = 0
        for (index, bound) in Self.bounds.enumerated() {
            total += counts[index]
            text += "\(name)_bucket{\(prefix)le=\"\(Double(bound) / 1e9)\"} \(total)\n"
        }
        total += counts[Self.bounds.count]
        let suffix = labels.isEmpty ? "" : "{\(labels)}"
        text += "\(name)_bucket{\(prefix)le=\"+Inf\"} \(total)\n"
        text += "\(name)_sum\(suffix) \(Double(sum) / 1e9)\n\(name)_count\(suffix) \(total)\n"
    }
}
