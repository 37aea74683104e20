/// A cache of at most so many entries that gives up the ones not asked for lately.
///
/// Eviction is the CLOCK rule: a hand goes round the entries, passes those used since its last visit and takes the
/// first that was not. That comes close to least-recently-used at the price of one flag per hit.
struct BoundedCache<Key: Hashable, Value> {
    private struct Entry {
        let key: Key
        var value: Value
        var wasUsed: Bool
    }

    private let capacity: Int
    private var entries: [Entry] = []
    private var positions: [Key: Int] = [:]
    private var hand = 0

    /// An empty cache; `capacity` is at least 1.
    init(capacity: Int) {
        precondition(capacity > 0)
        self.capacity = capacity
    }

    /// The number of entries now.
    var count: Int { entries.count }

    /// The value remembered for a key.
    mutating func value(for key: Key) -> Value? {
        guard let position = positions[key] else { return nil }
        entries[position].wasUsed = true
        return entries[position].value
    }

    /// Remembers a value, in the place of the key's old one or of an entry not used lately.
    mutating func insert(_ value: Value, for key: Key) {
        if let position = positions[key] {
            entries[position].value = value
        } else if entries.count < capacity {
            positions[key] = entries.count
            entries.append(Entry(key: key, value: value, wasUsed: false))
        } else {
            advanceToUnusedEntry()
            positions[entries[hand].key] = nil
            positions[key] = hand
            entries[hand] = Entry(key: key, value: value, wasUsed: false)
            hand = (hand + 1) % capacity
        }
    }

    /// Forgets the values for which the condition holds.
    mutating func removeAll(where isUnwanted: (Value) -> Bool) {
        entries.removeAll { isUnwanted($0.value) }
        positions = Dictionary(uniqueKeysWithValues: entries.enumerated().map { ($1.key, $0) })
        hand = 0
    }

    private mutating func advanceToUnusedEntry() {
        while entries[hand].wasUsed {
            entries[hand].wasUsed = false
            hand = (hand + 1) % capacity
        }
    }
}
