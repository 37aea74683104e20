import Testing

@testable import Policy

@Suite("YAML")
struct YAMLTests {
    private func parse(_ text: String) -> (node: YAMLNode?, mistakes: [Mistake]) {
        let log = MistakeLog(file: "f.yaml")
        let node = YAMLParser.document(Array(text.utf8), log: log)
        return (node, log.mistakes)
    }

    @Test("Every value knows its line and column")
    func marks() throws {
        let node = try #require(parse("a: 1\nb:\n  - x\n  - {c: y}\n").node)
        #expect(node["b"]?.mark == Mark(line: 3, column: 3))
        guard case .sequence(let elements)? = node["b"]?.value else { throw Missing() }
        #expect(elements[1]["c"]?.mark == Mark(line: 4, column: 9))
    }

    @Test("Quoted words stay texts", arguments: ["'true'", "\"12\"", "'~'"])
    func quoted(text: String) throws {
        let value = try #require(parse("a: \(text)").node?["a"])
        guard case .scalar(_, isPlain: false) = value.value else { throw Missing() }
        #expect(!value.isNull)
    }

    @Test("Nothing, ~ and null are nothing", arguments: ["", "~", "null"])
    func null(text: String) throws {
        #expect(try #require(parse("a: \(text)").node?["a"]).isNull)
    }

    @Test(
        "What makes YAML more than data is refused, with its place",
        arguments: [
            ("a: &x 1\nb: 2", 1, "an anchor"), ("a: 1\nb: *x", 2, "an alias"), ("a: !!str 1", 1, "a tag"),
            ("a: !ruby/object {}", 1, "a tag"), ("a: 1\n---\nb: 2", 2, "a second document"),
            ("[a]: 1", 1, "a key that is not a text"), ("a: [&x 1]", 1, "an anchor"), ("a: {<<: *x}", 1, "an alias"),
        ])
    func refused(text: String, line: Int, found: String) {
        let (node, mistakes) = parse(text)
        #expect(node == nil)
        #expect(mistakes.map(\.line) == [line])
        #expect(mistakes.map(\.found) == [found])
    }

    @Test("A key that stands twice is named with both lines")
    func duplicate() {
        let mistakes = parse("a: 1\nb: 2\na: 3\n").mistakes
        #expect(
            mistakes.map(\.description) == [
                "f.yaml:3:1: a: found the key a second time, expected each key once (it stands in line 1 already)"
            ])
    }

    @Test(
        "Text that is not YAML is a mistake with its line",
        arguments: [
            ("a: b\n\tc: d", 2), ("a: [1, 2", 1), ("a: 'b", 1), ("a: 1\n b: 2", 2), ("a: \"\\xZZ\"", 1),
            ("- a\nb: c", 2),
        ])
    func syntax(text: String, line: Int) {
        let (node, mistakes) = parse(text)
        #expect(node == nil)
        #expect(mistakes.count == 1)
        #expect(mistakes.first.map { $0.line >= line } == true)
        #expect(mistakes.first?.expected == "YAML")
    }

    @Test("Bytes that are not UTF-8 are a mistake")
    func encoding() {
        let log = MistakeLog(file: "f.yaml")
        #expect(YAMLParser.document([0x61, 0x3A, 0x20, 0xC0, 0xAF], log: log) == nil)
        #expect(log.mistakes.count == 1)
    }

    @Test("Nesting without end is refused", arguments: ["[", "{a: ", "- "])
    func depth(opening: String) {
        let (node, mistakes) = parse(String(repeating: opening, count: 10_000))
        #expect(node == nil)
        #expect(mistakes.count == 1)
    }

    @Test("An empty file holds no document", arguments: ["", "\n", "# nothing\n"])
    func empty(text: String) { #expect(parse(text).node == nil) }

    struct Missing: Error {}
}

@Suite("Times and sizes")
struct QuantityTests {
    @Test(
        "A number and a unit make a time",
        arguments: [
            ("500 ms", Duration.milliseconds(500)), ("10 s", .seconds(10)), ("5 min", .seconds(300)),
            ("2 h", .seconds(7200)), ("1 day", .seconds(86400)), ("500 days", .seconds(500 * 86400)), ("0 s", .zero),
        ])
    func durations(text: String, duration: Duration) { #expect(Quantity.duration(text) == duration) }

    @Test(
        "A number and a unit make a size",
        arguments: [("0 bytes", 0), ("512 bytes", 512), ("64 KiB", 65536), ("1 MiB", 1 << 20)])
    func sizes(text: String, bytes: Int) { #expect(Quantity.byteCount(text) == .bytes(bytes)) }

    @Test(
        "Everything else is neither",
        arguments: [
            "", "10", "s", "10s", "10  s", " 10 s", "10 s ", "-1 s", "+1 s", "1.5 s", "10 S", "10 seconds", "1 KB",
            "1 kib",
            "99999999999999999999 s", "9223372036854775807 h", "1 s 2 ms", "٣ s",
        ])
    func refused(text: String) {
        #expect(Quantity.duration(text) == nil)
        #expect(Quantity.byteCount(text) == nil)
    }

    @Test("They are written the way they are read", arguments: ["500 ms", "10 s", "5 min", "2 h", "500 days", "0 s"])
    func written(text: String) { #expect(Quantity.duration(text).map(Quantity.text) == text) }
}

@Suite("Addresses to listen on")
struct SocketAddressTests {
    @Test(
        "Addresses in numbers are read, and known to be loopback or not",
        arguments: [
            ("127.0.0.1:8443", true), ("127.9.9.9:1", true), ("[::1]:8443", true), ("0.0.0.0:443", false),
            ("[::]:443", false), ("192.0.2.1:0", false), ("[2001:db8::1]:65535", false),
            ("[::ffff:127.0.0.1]:1", false),
        ])
    func reads(text: String, isLoopback: Bool) throws {
        let address = try #require(SocketAddress(text))
        #expect(address.isLoopback == isLoopback)
        #expect(address.description == text)
    }

    @Test(
        "Names, missing ports and other forms are refused",
        arguments: [
            "localhost:80", "127.0.0.1", "127.0.0.1:", ":80", "::1:80", "[::1]", "127.0.0.1:65536", "127.0.0.1:-1",
            "127.1:80", "1.2.3.4:8x",
        ])
    func refuses(text: String) { #expect(SocketAddress(text) == nil) }
}
