import Availability
import Booking
import Loop
import PMS
import Stay
import Testing

/// What every adapter to a PMS owes the bridge, tried on a real PMS of each vendor.
@Suite("An adapter to a PMS", .serialized)
struct AdapterConformanceTests {
    init() { Loop.runInBackground() }

    private static let today = Day("2027-02-27")!

    private func taken(_ occupancy: Occupancy?) -> TakenNights? {
        guard case .rooms(let taken)? = occupancy else { return nil }
        return taken
    }

    @Test("A PMS without hotels has none, and is well", arguments: Vendor.allCases)
    func empty(vendor: Vendor) async throws {
        try await vendor.trial { trial in
            let adapter = trial.adapter
            try await adapter.checkHealth()
            #expect(adapter.isConnected)
            #expect(try await adapter.hotelIDs().isEmpty)
            #expect(try await adapter.hotels([]).found.isEmpty)
            #expect(try await adapter.offers(of: [1, 2]).found.isEmpty)
            #expect(try await adapter.occupancy(of: [1], from: Self.today).found.isEmpty)
        }
    }

    @Test("Hotels without rooms and types without rooms are hotels and types", arguments: Vendor.allCases)
    func bare(vendor: Vendor) async throws {
        try await vendor.trial { trial in
            let (bare, typed) = (try await trial.addHotel("Bare"), try await trial.addHotel("Typed"))
            let type = try await trial.addRoomType(typed, "Roomless")
            #expect(try await trial.adapter.hotelIDs() == [bare, typed])
            let hotels = try await trial.adapter.hotels([bare, typed, 9999])
            #expect(hotels.found.mapValues(\.name) == [bare: "Bare", typed: "Typed"])
            #expect(hotels.unreadable.isEmpty)
            let offers = try await trial.adapter.offers(of: [bare, typed, 9999])
            #expect(Set(offers.found.keys) == [bare, typed])
            #expect(offers.found[bare]?.roomTypes.isEmpty == true)
            #expect(offers.found[typed]?.roomTypes.map(\.id) == [type])
            #expect(offers.found[typed]?.rooms.isEmpty == true)
            let occupancy = try await trial.adapter.occupancy(of: [bare, typed, 9999], from: Self.today)
            #expect(Set(occupancy.found.keys) == [bare, typed])
        }
    }

    @Test("Names are whatever people write", arguments: Vendor.allCases)
    func names(vendor: Vendor) async throws {
        let names = [
            "月ノ瀬旅館", "Gîte «L’Été» d’Orsay", "فندق", "О'Нил & Сыновья", "🏨👨‍👩‍👧‍👦", "a\"b\\c'd;--", "ǅ ﬁ ß", "ไทย",
        ]
        try await vendor.trial { trial in
            var ids: [Int32: String] = [:]
            for name in names {
                let hotel = try await trial.addHotel(name)
                ids[hotel] = name
                let type = try await trial.addRoomType(hotel, name)
                _ = try await trial.addRoom(hotel, type, .forSale, capacity: 2)
                try await trial.addPlan(hotel, name, price: 9000)
                try await trial.addAddOn(hotel, name, isShown: true)
            }
            let hotels = try await trial.adapter.hotels(Array(ids.keys))
            #expect(hotels.found.mapValues(\.name) == ids)
            let offers = try await trial.adapter.offers(of: Array(ids.keys))
            for (hotel, name) in ids {
                #expect(offers.found[hotel]?.roomTypes.map(\.name) == [name])
                #expect(offers.found[hotel]?.plans.map(\.name) == [name])
                #expect(offers.found[hotel]?.addOns.map(\.name) == [name])
            }
        }
    }

    @Test("Rooms that are not for sale and those of the staff are not sold", arguments: Vendor.allCases)
    func rooms(vendor: Vendor) async throws {
        try await vendor.trial { trial in
            let hotel = try await trial.addHotel("Rooms")
            let type = try await trial.addRoomType(hotel, "Type")
            var sold: [Int32] = []
            for capacity in 1...4 {
                for kind in RoomKind.allCases {
                    let room = try await trial.addRoom(hotel, type, kind, capacity: Int32(capacity))
                    if kind == .forSale { sold.append(room) }
                }
            }
            let offer = try await trial.adapter.offers(of: [hotel]).found[hotel]
            #expect(offer?.rooms.map(\.id) == sold)
            #expect(offer?.rooms.map(\.capacity) == [1, 2, 3, 4])
            #expect(offer?.rooms.allSatisfy { $0.type == type && $0.hotel == hotel } == true)
        }
    }

    @Test("Whatever takes a room takes it, and what is cancelled does not", arguments: Vendor.allCases)
    func reservations(vendor: Vendor) async throws {
        try await vendor.trial { trial in
            guard type(of: trial.adapter).capabilities.availability == .rooms else { return }
            let hotel = try await trial.addHotel("Taken")
            let other = try await trial.addHotel("Other")
            let type = try await trial.addRoomType(hotel, "Type")
            let today = Self.today
            var expected: Set<TakenNight> = []
            for kind in ReservationKind.allCases {
                let room = try await trial.addRoom(hotel, type, .forSale, capacity: 2)
                // Over the end of February, from a night that is past.
                let nights = today.advanced(by: -1)..<today.advanced(by: 4)
                try await trial.reserve(hotel, room: room, kind, nights)
                guard kind != .cancelled else { continue }
                for night in nights where night >= today { expected.insert(TakenNight(room: room, night: night)) }
            }
            // A guest who was promised a room, but not which.
            try await trial.reserve(hotel, room: nil, .confirmed, today..<today.advanced(by: 2))
            expected.formUnion([
                TakenNight(room: nil, night: today), TakenNight(room: nil, night: today.advanced(by: 1)),
            ])
            let adapter = trial.adapter
            let reading = try await adapter.occupancy(of: [hotel, other], from: today)
            #expect(Set(taken(reading.found[hotel])?.nights ?? []) == expected)
            #expect(taken(reading.found[other])?.nights.isEmpty == true)
            for isSettled in [false, true] {
                let alone = taken(try await adapter.occupancy(of: hotel, from: today, isSettled: isSettled))
                #expect(Set(alone?.nights ?? []) == expected)
            }
            let rooms = Array(Set(expected.compactMap(\.room)).sorted().prefix(2))
            let nights = today.advanced(by: 1)..<today.advanced(by: 3)
            let part = try await adapter.takenNights(of: hotel, rooms: rooms, nights: nights)
            #expect(
                Set(part) == expected.filter { nights.contains($0.night) && $0.room.map(rooms.contains) == true })
            let all = try await adapter.takenNights(of: hotel, rooms: nil, nights: nights)
            #expect(Set(all) == expected.filter { nights.contains($0.night) })
        }
    }

    @Test(
        "Thousands of past reservations are none of today's business", .timeLimit(.minutes(2)),
        arguments: Vendor.allCases)
    func past(vendor: Vendor) async throws {
        try await vendor.trial { trial in
            let hotel = try await trial.addHotel("Old")
            let type = try await trial.addRoomType(hotel, "Type")
            let room = try await trial.addRoom(hotel, type, .forSale, capacity: 2)
            try await trial.reserve(hotel, room: room, .confirmed, Self.today.advanced(by: -10_000)..<Self.today)
            try await trial.reserve(hotel, room: room, .block, Self.today..<Self.today.advanced(by: 3))
            let reading = try await trial.adapter.occupancy(of: [hotel], from: Self.today)
            #expect(taken(reading.found[hotel])?.nights.count == 3)
        }
    }

    @Test("Prices are those of the PMS, with their tax", arguments: Vendor.allCases)
    func prices(vendor: Vendor) async throws {
        try await vendor.trial { trial in
            guard type(of: trial.adapter).capabilities.prices else { return }
            let hotel = try await trial.addHotel("Priced")
            try await trial.addPlan(hotel, "Dear", price: 18_400)
            try await trial.addPlan(hotel, "Free", price: 0)
            let offer = try await trial.adapter.offers(of: [hotel]).found[hotel]
            let plans = (offer?.plans ?? []).map { $0.plan(.jpy) }
            #expect(plans.map(\.name) == ["Dear", "Free"])
            #expect(plans.map { $0.pricing.price(of: Self.today) } == [.amount(18_400), .amount(0)])
            #expect(plans.allSatisfy { $0.tax(of: Self.today)?.rate == FixedPoint("0.1") })
        }
    }

    @Test("Add-ons that are not shown are not told", arguments: Vendor.allCases)
    func addOns(vendor: Vendor) async throws {
        try await vendor.trial { trial in
            guard type(of: trial.adapter).capabilities.amenities else { return }
            let hotel = try await trial.addHotel("Adding")
            try await trial.addAddOn(hotel, "Shown", isShown: true)
            try await trial.addAddOn(hotel, "Hidden", isShown: false)
            let offer = try await trial.adapter.offers(of: [hotel]).found[hotel]
            #expect(offer?.addOns.map(\.name) == ["Shown"])
        }
    }

    @Test("A hotel that is removed is neither found nor unreadable", arguments: Vendor.allCases)
    func removed(vendor: Vendor) async throws {
        try await vendor.trial { trial in
            let (hotel, other) = (try await trial.addHotel("Gone"), try await trial.addHotel("There"))
            try await trial.removeHotel(hotel)
            #expect(try await trial.adapter.hotelIDs() == [other])
            let reading = try await trial.adapter.hotels([hotel, other])
            #expect(Set(reading.found.keys) == [other])
            #expect(reading.unreadable.isEmpty)
            #expect(try await trial.adapter.offers(of: [hotel]).found.isEmpty)
            #expect(try await trial.adapter.occupancy(of: [hotel], from: Self.today).found.isEmpty)
        }
    }

    @Test("Reading leaves the PMS as it is", arguments: Vendor.allCases)
    func untouched(vendor: Vendor) async throws {
        try await vendor.trial { trial in
            let hotel = try await trial.addHotel("Left alone")
            let before = try await trial.shape()
            let adapter = trial.adapter
            try await adapter.checkHealth()
            _ = try await adapter.hotels([hotel])
            _ = try await adapter.offers(of: [hotel])
            _ = try await adapter.occupancy(of: [hotel], from: Self.today)
            _ = try await adapter.occupancy(of: hotel, from: Self.today, isSettled: true)
            #expect(try await trial.shape() == before)
        }
    }
}
