import Availability
import Stay
import TestSupport
import Testing

/// A hotel as its front desk would count it, room by room, night by night and rule by rule.
private struct CountedHotel {
    let types: [Int32]
    let rooms: [SellableRoom]
    /// What was left of each type, where the PMS tells counts and not rooms.
    var left: [Int32: [Day: Int32]]?
    var taken: Set<TakenNight> = []
    var roomless: [Overbooking.Roomless] = []
    var allowances: [Int32: Int32] = [:]
    var rules: [StayRule] = []

    func free(_ type: Int32, _ nights: some Sequence<Day>, _ guests: Int32) -> Int32 {
        let fitting = rooms.filter { $0.type == type && $0.capacity >= guests }
        guard let left else {
            return Int32(
                fitting.count { room in
                    !room.isClosed && nights.allSatisfy { !taken.contains(TakenNight(room: room.id, night: $0)) }
                })
        }
        guard !fitting.isEmpty else { return 0 }
        return nights.map { max(0, left[type]?[$0] ?? 0) }.min()!
    }

    func balance(_ type: Int32, _ night: Day) -> Int32 {
        let sold = roomless.filter { $0.night == night }.reduce(Int32(0)) { $0 + min($1.count, $1.types[type] ?? 0) }
        return (allowances[type] ?? 0) - sold
    }

    func takes(_ type: Int32, _ guests: Int32) -> Bool { rooms.contains { $0.type == type && $0.capacity >= guests } }

    func isForbidden(_ stay: Stay, _ type: Int32) -> Bool {
        func hold(_ date: Day) -> [StayRule] {
            rules.filter {
                ($0.type == nil || $0.type == type) && $0.dates.contains(date)
                    && ($0.weekdays?.contains(date.weekday) ?? true)
            }
        }
        return hold(stay.arrival).contains {
            $0.isClosedToArrival || stay.nightCount < $0.minimumNights ?? 0
                || stay.nightCount > $0.maximumNights ?? .max
        } || hold(stay.departure).contains(where: \.isClosedToDeparture)
            || stay.nights.contains { night in hold(night).contains(where: \.isStopped) }
    }

    func isStopped(_ night: Day, _ type: Int32) -> Bool {
        isForbidden(Stay(arrival: night, departure: night.advanced(by: 1))!, type)
            && rules.contains {
                $0.isStopped && ($0.type == nil || $0.type == type) && $0.dates.contains(night)
                    && ($0.weekdays?.contains(night.weekday) ?? true)
            }
    }

    func available(_ type: Int32, _ stay: Stay, _ guests: Int32) -> Int32 {
        guard takes(type, guests), !isForbidden(stay, type) else { return 0 }
        return max(0, free(type, stay.nights, guests) + stay.nights.map { balance(type, $0) }.min()!)
    }

    func available(_ type: Int32, on night: Day, _ guests: Int32) -> Int32 {
        guard takes(type, guests), !isStopped(night, type) else { return 0 }
        return max(0, free(type, [night], guests) + balance(type, night))
    }
}

@Suite("What can be booked, against a count by hand")
struct HotelAvailabilityModelTests {
    /// Windows begin so that they pass a year's end, a month's end, and the leap day of 2028.
    private static let starts = ["2027-12-20", "2028-02-20", "2027-02-20", "2027-04-25"].map { Day($0)! }

    @Test(
        "Random hotels with random histories, rules and allowances give what a count gives, and why they do not",
        arguments: 1...120 as ClosedRange<UInt64>)
    func histories(seed: UInt64) {
        var generator = SeededNumbers(seed: seed)
        let first = Self.starts.randomElement(using: &generator)!
        let nightCount = Int.random(in: 20...120, using: &generator)
        var hotel = hotel(using: &generator)
        if Bool.random(using: &generator) {
            hotel.left = Dictionary(uniqueKeysWithValues: hotel.types.map { ($0, [:]) })
        }
        var availability = HotelAvailability(
            rooms: HotelIndex(firstNight: first, nightCount: nightCount, types: [], rooms: [], taken: []))
        for round in 0..<30 {
            change(&hotel, first, nightCount, using: &generator)
            load(hotel, into: &availability, first, nightCount)
            if round == 20 {
                availability.advance(to: first.advanced(by: 9))
                // Of a PMS that tells counts the nights that came in are not known.
                availability.replace(
                    rooms: index(hotel, first.advanced(by: 9), nightCount - 9),
                    allotments: allotments(hotel, first.advanced(by: 9), nightCount - 9), roomless: hotel.roomless)
            }
            guard agree(hotel, availability, using: &generator) else { return }
        }
    }

    private func hotel(using generator: inout SeededNumbers) -> CountedHotel {
        let types = (1...Int32.random(in: 1...4, using: &generator)).map { $0 * 10 }
        let rooms = (0..<Int32.random(in: 0...9, using: &generator)).map { number in
            SellableRoom(
                id: 100 + number, type: types.randomElement(using: &generator)!,
                capacity: .random(in: 1...4, using: &generator),
                isClosed: Int.random(in: 0..<10, using: &generator) == 0)
        }
        return CountedHotel(types: types, rooms: rooms)
    }

    private func change(
        _ hotel: inout CountedHotel, _ first: Day, _ nightCount: Int, using generator: inout SeededNumbers
    ) {
        func night() -> Day { first.advanced(by: .random(in: 0..<nightCount + 5, using: &generator)) }
        let type = hotel.types.randomElement(using: &generator)!
        for _ in 0..<4 {
            if let room = hotel.rooms.randomElement(using: &generator) {
                let start = night()
                for offset in 0..<Int.random(in: 1...20, using: &generator) {
                    hotel.taken.insert(TakenNight(room: room.id, night: start.advanced(by: offset)))
                }
            }
            let start = night()
            for offset in 0..<30 {
                hotel.left?[type]?[start.advanced(by: offset)] = .random(in: -1...4, using: &generator)
            }
        }
        if Bool.random(using: &generator) {
            hotel.roomless.append(
                .init(
                    night: night(), count: .random(in: 0...2, using: &generator),
                    types: [type: .random(in: 1...2, using: &generator)]))
        }
        hotel.allowances[type] = Int32.random(in: 0...2, using: &generator)
        let date = night()
        let kind = Int.random(in: 0..<6, using: &generator)
        hotel.rules.append(
            StayRule(
                type: Bool.random(using: &generator) ? type : nil,
                dates: date...date.advanced(by: .random(in: 0...6, using: &generator)),
                weekdays: Bool.random(using: &generator) ? [.saturday, .sunday, .monday] : nil,
                minimumNights: kind == 0 ? .random(in: 1...5, using: &generator) : nil,
                maximumNights: kind == 1 ? .random(in: 1...5, using: &generator) : nil, isClosedToArrival: kind == 2,
                isClosedToDeparture: kind == 3, isStopped: kind == 4))
        if hotel.rules.count > 6 { hotel.rules.removeFirst() }
    }

    private func index(_ hotel: CountedHotel, _ first: Day, _ nightCount: Int) -> HotelIndex {
        HotelIndex(
            firstNight: first, nightCount: nightCount, types: hotel.types, rooms: hotel.rooms, taken: hotel.taken)
    }

    private func allotments(_ hotel: CountedHotel, _ first: Day, _ nightCount: Int) -> AllotmentIndex? {
        hotel.left.map { left in
            AllotmentIndex(
                firstNight: first, nightCount: nightCount,
                types: hotel.types.map { type in
                    let rooms = hotel.rooms.filter { $0.type == type }
                    return .init(
                        id: type, capacity: rooms.map(\.capacity).max() ?? 0, roomCount: Int32(rooms.count))
                },
                allotments: left.flatMap { type, nights in
                    nights.map { Allotment(type: type, night: $0.key, left: $0.value) }
                })
        }
    }

    private func load(
        _ hotel: CountedHotel, into availability: inout HotelAvailability, _ first: Day, _ nightCount: Int
    ) {
        availability.overbooking.allow(hotel.allowances)
        availability.follow(hotel.rules)
        availability.replace(
            rooms: index(hotel, first, nightCount), allotments: allotments(hotel, first, nightCount),
            roomless: hotel.roomless)
    }

    private func agree(
        _ hotel: CountedHotel, _ availability: HotelAvailability, using generator: inout SeededNumbers
    ) -> Bool {
        let window = availability.window
        let length = Int.random(in: 1...min(30, window.count), using: &generator)
        let arrival = window.lowerBound.advanced(by: .random(in: 0...window.count - length, using: &generator))
        let stay = Stay(arrival: arrival, departure: arrival.advanced(by: length))!
        let guests = Int32.random(in: 1...5, using: &generator)
        var answer = AvailabilityAnswer()
        #expect(availability.query(stay, guests: guests, into: &answer))
        let expected = hotel.types.map { hotel.available($0, stay, guests) }
        let nights = hotel.types.flatMap { type in stay.nights.map { hotel.available(type, on: $0, guests) } }
        #expect(answer.types.map(\.available) == expected)
        #expect(answer.nights == nights)
        // There is a reason exactly where nothing is available.
        let reasons = hotel.types.map { availability.obstacles(ofType: $0, stay: stay, guests: guests) }
        #expect(reasons.map(\.isEmpty) == expected.map { $0 > 0 })
        return answer.types.map(\.available) == expected && answer.nights == nights
    }

    // MARK: Written down and read again

    @Test("What is written down says the same when it is read", arguments: 1...60 as ClosedRange<UInt64>)
    func archive(seed: UInt64) throws {
        var generator = SeededNumbers(seed: seed)
        let first = Self.starts.randomElement(using: &generator)!
        var hotel = hotel(using: &generator)
        if seed % 3 == 0 { hotel.left = Dictionary(uniqueKeysWithValues: hotel.types.map { ($0, [:]) }) }
        for _ in 0..<10 { change(&hotel, first, 100, using: &generator) }
        var availability = HotelAvailability(rooms: index(hotel, first, 100))
        load(hotel, into: &availability, first, 100)
        let closed = Set(hotel.rooms.filter(\.isClosed).map(\.id))
        let bytes = AvailabilityArchive.bytes(availability, closed: closed)
        let archive = try #require(AvailabilityArchive(bytes))
        var restored = HotelAvailability(rooms: index(hotel, first, 100))
        switch archive.occupancy {
        case .rooms(let known, let unsold, let taken):
            #expect(unsold == closed)
            #expect(known == Set(hotel.rooms.map(\.id)).subtracting(closed))
            restored.replace(
                rooms: HotelIndex(
                    firstNight: first, nightCount: 100, types: hotel.types, rooms: hotel.rooms, taken: taken),
                allotments: nil, roomless: archive.roomless)
        case .allotments(let allotments):
            restored.replace(
                rooms: restored.rooms,
                allotments: AllotmentIndex(
                    firstNight: first, nightCount: 100, types: availability.allotments!.roomTypes,
                    allotments: allotments), roomless: archive.roomless)
        }
        restored.overbooking.allow(hotel.allowances)
        restored.follow(hotel.rules)
        for _ in 0..<20 where !agree(hotel, restored, using: &generator) { return }
        // What is cut short or changed is refused or says something, and never ends the process.
        for length in 0..<bytes.count { #expect(AvailabilityArchive(Array(bytes.prefix(length))) == nil) }
        for _ in 0..<200 {
            var damaged = bytes
            damaged[.random(in: damaged.indices, using: &generator)] = .random(in: 0...255, using: &generator)
            _ = AvailabilityArchive(damaged)
        }
    }
}
