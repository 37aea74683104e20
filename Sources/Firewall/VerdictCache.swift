internal import HTTP

/// What was found in requests with little content or none, by the request: byte for byte what the rules are shown, except
/// the client's address. So it may be asked only where no rule looks at that, nor at the clock.
///
/// Bounded in entries and bytes. When full, the CLOCK rule makes room: a hand goes round the entries, passes those
/// asked for since its last visit and takes the first that was not. So a flood of requests that come once each cannot
/// push out those that come often.
struct VerdictCache {
    /// What is shown to the rules, in an unambiguous order, and the settings.
    typealias Key = [UInt8]

    /// Larger requests are rare, and not worth a comparison.
    private static let largestKey = 8 << 10

    /// Bytes that an entry takes besides its key, estimated from above: array headers, the dictionary's slot.
    private static let overhead = 256
    private static let bytesForEachMatch = 192

    private struct Entry {
        let key: Key
        let finding: Finding
        let bytes: Int
        var wasUsed = false
    }

    private let maximumEntries: Int
    private let maximumBytes: Int
    private var entries: [Entry] = []
    private var positions: [Key: Int] = [:]
    private var hand = 0
    private(set) var bytes = 0

    var count: Int { entries.count }

    init(maximumEntries: Int, maximumBytes: Int) {
        self.maximumEntries = maximumEntries
        self.maximumBytes = maximumBytes
    }

    /// The key of a request; nil when its verdict is not remembered.
    func key(_ request: FirewallRequest, _ settings: FirewallSettings) -> Key? {
        guard maximumEntries > 0, request.hasLittleContent else { return nil }
        let head = request.head
        var key: Key = []
        key.reserveCapacity(512)
        key.append(UInt8(settings.paranoiaLevel))
        withUnsafeBytes(of: settings.inboundThreshold) { key.append(contentsOf: $0) }
        key.append(head.version == .http10 ? 0 : 1)
        key.append(contentsOf: head.method.rawValue.utf8)
        // What follows has no line feed in it: the parser lets none through, and `Fields` none in.
        key.append(UInt8(ascii: "\n"))
        InspectedTarget.append(request, to: &key)
        for field in head.fields where FieldExposure.isShown(field) {
            key.append(UInt8(ascii: "\n"))
            key.append(contentsOf: field.nameBytes)
            key.append(UInt8(ascii: ":"))
            key.append(contentsOf: field.valueBytes)
            if key.count > Self.largestKey { return nil }
        }
        if !request.content.isEmpty {
            key.append(contentsOf: "\n\n".utf8)
            key.append(contentsOf: request.content)
        }
        return key.count > Self.largestKey ? nil : key
    }

    /// What was found in this request before.
    mutating func finding(for key: Key) -> Finding? {
        guard let position = positions[key] else { return nil }
        entries[position].wasUsed = true
        return entries[position].finding
    }

    /// Remembers what was found, if it is the same at any time.
    mutating func insert(_ finding: Finding, for key: Key) {
        let size = key.count + Self.overhead + finding.matches.count * Self.bytesForEachMatch
        guard finding.isComplete, size <= maximumBytes, positions[key] == nil else { return }
        while entries.count == maximumEntries || bytes + size > maximumBytes { removeUnused() }
        positions[key] = entries.count
        entries.append(Entry(key: key, finding: finding, bytes: size))
        bytes += size
    }

    /// Removes the next entry not asked for lately; the last one takes its place.
    private mutating func removeUnused() {
        if hand >= entries.count { hand = 0 }
        while entries[hand].wasUsed {
            entries[hand].wasUsed = false
            hand = (hand + 1) % entries.count
        }
        let removed = entries[hand]
        positions[removed.key] = nil
        bytes -= removed.bytes
        let last = entries.removeLast()
        guard hand < entries.count else { return }
        entries[hand] = last
        positions[last.key] = hand
        hand += 1
    }
}
