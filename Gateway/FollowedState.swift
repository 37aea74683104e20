internal import JSONText

/// What the bridge says about rows of the database of which a worker holds a copy.
struct FollowedState<Row: Sendable>: Sendable {
    let version: Int64
    /// `nil` where they are those that are held already.
    let rows: [Row]?
    /// Nanoseconds since the database confirmed it, when the bridge answered.
    private let age: UInt64

    struct Malformed: Error {}

    /// - Parameters:
    ///   - member: where the rows are.
    ///   - read: reads one.
    init(json: [UInt8], member: String, _ read: (JSONValue) throws -> Row) throws {
        let state = try JSONValue(parsing: json)
        guard let version = state["version"]?.integer, let age = state["age_ms"]?.integer, 0...1 << 40 ~= age else {
            throw Malformed()
        }
        self.version = version
        self.age = UInt64(age) * 1_000_000
        guard let rows = state[member] else {
            self.rows = nil
            return
        }
        guard case .array(let rows) = rows else { throw Malformed() }
        self.rows = try rows.map(read)
    }

    /// When the database confirmed it, if it came at an instant of the monotonic clock, in nanoseconds.
    func confirmedAt(received: UInt64) -> UInt64 { received - min(received, age) }
}
