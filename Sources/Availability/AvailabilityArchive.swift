internal import Stay

/// What is known to be taken at a hotel in few bytes, for a table: a bridge that starts while the PMS is away answers from it.
///
/// A room costs some bytes for each stay in it; a hotel of 20 rooms half a kilobyte. The bytes hold rooms by their ids, so
/// that they mean the same whatever else the hotel sells by then; what cannot be read is as good as not there.
public struct AvailabilityArchive: Hashable, Sendable {
    /// What was known.
    public enum Occupancy: Hashable, Sendable {
        /// The nights taken, in the rooms that were known then.
        case rooms(Set<Int32>, closed: Set<Int32>, taken: [TakenNight])
        /// What was left of each type.
        case allotments([Allotment])
    }

    /// What was taken, or left.
    public let occupancy: Occupancy
    /// What was sold without a room, by type.
    public let roomless: [Overbooking.Roomless]

    private static let version: UInt64 = 1
    /// Nights that one archive may hold; more are not of this world.
    private static let bound = 4_000_000
    /// Days from the first night within which everything lies.
    private static let horizon = 100_000
    /// Times that a night may be taken.
    private static let times = 1000

    // MARK: Writing

    /// The bytes for what is known of a hotel.
    ///
    /// - Parameter closed: rooms that are for sale and yet not sold.
    public static func bytes(_ availability: HotelAvailability, closed: Set<Int32>) -> [UInt8] {
        var bytes: [UInt8] = []
        append(version, to: &bytes)
        append(signed: Int64(availability.firstNight.daysSinceEpoch), to: &bytes)
        if let allotments = availability.allotments {
            append(1, to: &bytes)
            append(allotments, to: &bytes)
        } else {
            append(0, to: &bytes)
            append(availability.rooms, closed, to: &bytes)
        }
        let sold = availability.overbooking.sold.map { ($0.key, $0.value) }
            .sorted { ($0.0.type, $0.0.night) < ($1.0.type, $1.0.night) }
        append(UInt64(sold.count), to: &bytes)
        for (place, count) in sold {
            append(signed: Int64(place.type), to: &bytes)
            append(signed: Int64(availability.firstNight.distance(to: place.night)), to: &bytes)
            append(UInt64(max(0, count)), to: &bytes)
        }
        return bytes
    }

    private static func append(_ index: HotelIndex, _ closed: Set<Int32>, to bytes: inout [UInt8]) {
        let later = Dictionary(grouping: index.takenCounts.keys, by: \.room)
        append(UInt64(index.roomNumbers.count), to: &bytes)
        for (id, room) in index.roomNumbers.sorted(by: { $0.key < $1.key }) {
            append(signed: Int64(id), to: &bytes)
            var offsets = (0..<index.nightCount).filter { !index.isFree(room: room, offset: $0) }
            offsets += (later[id] ?? []).map { index.firstNight.distance(to: $0.night) }
                .filter { (index.nightCount..<horizon).contains($0) }.sorted()
            append(runs(offsets), to: &bytes)
        }
        append(UInt64(closed.count), to: &bytes)
        for id in closed.sorted() { append(signed: Int64(id), to: &bytes) }
        // Nights that are taken more than once, and those without a room.
        let more = index.takenCounts.filter { $0.value > 1 && isNear($0.key.night, index) }.sorted {
            ($0.key.room, $0.key.night) < ($1.key.room, $1.key.night)
        }
        append(UInt64(more.count), to: &bytes)
        for (place, count) in more {
            append(signed: Int64(place.room), to: &bytes)
            append(signed: Int64(index.firstNight.distance(to: place.night)), to: &bytes)
            append(UInt64(min(Int(count) - 1, times)), to: &bytes)
        }
        let unassigned = index.unassignedCounts.filter { isNear($0.key, index) }
        append(UInt64(unassigned.count), to: &bytes)
        for (night, count) in unassigned.sorted(by: { $0.key < $1.key }) {
            append(signed: Int64(index.firstNight.distance(to: night)), to: &bytes)
            append(UInt64(min(max(0, Int(count)), times)), to: &bytes)
        }
    }

    /// Whether a window may come to a night in the time that what is written is kept. A slip of the front desk's pen is in
    /// another millennium, and is not written.
    private static func isNear(_ night: Day, _ index: HotelIndex) -> Bool {
        (0..<horizon).contains(index.firstNight.distance(to: night))
    }

    private static func append(_ index: AllotmentIndex, to bytes: inout [UInt8]) {
        append(UInt64(index.roomTypes.count), to: &bytes)
        append(UInt64(index.nightCount), to: &bytes)
        for (position, allotment) in index.allotments.enumerated() {
            if position % index.nightCount == 0 { append(signed: Int64(allotment.type), to: &bytes) }
            append(signed: Int64(allotment.left), to: &bytes)
        }
    }

    /// Each as its distance from the end of the one before, and its length.
    private static func runs(_ offsets: [Int]) -> [(gap: Int, length: Int)] {
        var runs: [(gap: Int, length: Int)] = []
        var end = 0
        for offset in offsets {
            if !runs.isEmpty, offset == end {
                runs[runs.count - 1].length += 1
            } else {
                runs.append((offset - end, 1))
            }
            end = offset + 1
        }
        return runs
    }

    private static func append(_ runs: [(gap: Int, length: Int)], to bytes: inout [UInt8]) {
        append(UInt64(runs.count), to: &bytes)
        for run in runs {
            append(UInt64(run.gap), to: &bytes)
            append(UInt64(run.length), to: &bytes)
        }
    }

    /// Seven bits a byte, the low ones first, the highest bit set in all but the last.
    private static func append(_ number: UInt64, to bytes: inout [UInt8]) {
        var rest = number
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }

    /// Small numbers of either sign in few bytes.
    private static func append(signed number: Int64, to bytes: inout [UInt8]) {
        append(UInt64(bitPattern: (number << 1) ^ (number >> 63)), to: &bytes)
    }

    // MARK: Reading

    /// Reads the bytes; nil for what this program has not written.
    public init?(_ bytes: [UInt8]) {
        var reader = Reader(bytes: bytes)
        guard reader.number() == Self.version, let day = reader.signed(),
            let firstNight = Day(daysSinceEpoch: Int(day)), let kind = reader.number()
        else { return nil }
        switch kind {
        case 0:
            guard let rooms = Self.rooms(&reader, firstNight) else { return nil }
            occupancy = rooms
        case 1:
            guard let allotments = Self.allotments(&reader, firstNight) else { return nil }
            occupancy = allotments
        default: return nil
        }
        var roomless: [Overbooking.Roomless] = []
        guard let count = reader.count(Self.bound) else { return nil }
        for _ in 0..<count {
            guard let type = reader.id(), let night = reader.night(after: firstNight),
                let count = reader.count(Self.bound)
            else { return nil }
            roomless.append(Overbooking.Roomless(night: night, count: Int32(count), types: [type: Int32(count)]))
        }
        self.roomless = roomless
        guard reader.isAtEnd else { return nil }
    }

    private static func rooms(_ reader: inout Reader, _ firstNight: Day) -> Occupancy? {
        var known: Set<Int32> = []
        var closed: Set<Int32> = []
        var taken: [TakenNight] = []
        guard let roomCount = reader.count(bound) else { return nil }
        for _ in 0..<roomCount {
            guard let id = reader.id(), let runCount = reader.count(bound) else { return nil }
            known.insert(id)
            var offset = 0
            for _ in 0..<runCount {
                guard let gap = reader.count(horizon), let length = reader.count(horizon),
                    offset + gap + length <= horizon,
                    taken.count + length <= bound
                else { return nil }
                for night in offset + gap..<offset + gap + length {
                    guard let night = firstNight.adding(night) else { return nil }
                    taken.append(TakenNight(room: id, night: night))
                }
                offset += gap + length
            }
        }
        guard let closedCount = reader.count(bound) else { return nil }
        for _ in 0..<closedCount {
            guard let id = reader.id() else { return nil }
            closed.insert(id)
        }
        for isAssigned in [true, false] {
            guard let count = reader.count(bound) else { return nil }
            for _ in 0..<count {
                var room: Int32?
                if isAssigned {
                    guard let id = reader.id() else { return nil }
                    room = id
                }
                guard let night = reader.night(after: firstNight), let times = reader.count(times),
                    taken.count + times <= bound
                else { return nil }
                taken += repeatElement(TakenNight(room: room, night: night), count: times)
            }
        }
        return .rooms(known, closed: closed, taken: taken)
    }

    private static func allotments(_ reader: inout Reader, _ firstNight: Day) -> Occupancy? {
        guard let typeCount = reader.count(bound), let nightCount = reader.count(horizon),
            typeCount * nightCount <= bound
        else { return nil }
        var allotments: [Allotment] = []
        for _ in 0..<typeCount {
            guard let type = reader.id() else { return nil }
            for night in 0..<nightCount {
                guard let left = reader.signed().flatMap({ Int32(exactly: $0) }), let night = firstNight.adding(night)
                else { return nil }
                allotments.append(Allotment(type: type, night: night, left: left))
            }
        }
        return .allotments(allotments)
    }

    private struct Reader {
        let bytes: [UInt8]
        var position = 0

        var isAtEnd: Bool { position == bytes.count }

        mutating func number() -> UInt64? {
            var number: UInt64 = 0
            for shift in stride(from: UInt64(0), to: 63, by: 7) {
                guard position < bytes.count else { return nil }
                let byte = bytes[position]
                position += 1
                number |= UInt64(byte & 0x7F) << shift
                if byte & 0x80 == 0 { return number }
            }
            return nil
        }

        mutating func signed() -> Int64? {
            number().map { Int64(bitPattern: $0 >> 1) ^ -Int64(bitPattern: $0 & 1) }
        }

        mutating func id() -> Int32? { signed().flatMap { Int32(exactly: $0) } }

        mutating func count(_ bound: Int) -> Int? {
            number().flatMap { $0 <= UInt64(bound) ? Int($0) : nil }
        }

        mutating func night(after first: Day) -> Day? {
            guard let offset = signed(), offset.magnitude <= UInt64(horizon) else { return nil }
            return first.adding(Int(offset))
        }
    }
}
