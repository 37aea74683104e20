public import Stay

/// A sellable room that could be given to a booking, with what the PMS says about it at that moment.
public struct CandidateRoom: Hashable, Sendable {
    /// The room's id in the PMS.
    public let id: Int32
    /// Its room type's id.
    public let type: Int32
    /// The most guests it takes.
    public let capacity: Int32
    /// Its place in the hotel's order of assignment; nil comes last.
    public let priority: Int32?
    /// The nights on which it is taken, in any order; others than the stay's do not matter.
    public let takenNights: [Day]

    /// A candidate.
    public init(id: Int32, type: Int32, capacity: Int32, priority: Int32?, takenNights: [Day]) {
        self.id = id
        self.type = type
        self.capacity = capacity
        self.priority = priority
        self.takenNights = takenNights
    }
}

/// A room type that has too few rooms for a booking.
public struct Shortage: Hashable, Sendable {
    /// The room type's id.
    public let type: Int32
    /// The nights on which too few of its rooms are free; every night of the stay if enough rooms are free each night,
    /// but not the same ones throughout.
    public let nights: [Day]

    /// A shortage.
    public init(type: Int32, nights: [Day]) {
        self.type = type
        self.nights = nights
    }
}

/// Which rooms a booking gets.
public enum RoomChoice: Hashable, Sendable {
    /// The ids of the rooms, in the order of the rooms asked for.
    case chosen([Int32])
    /// The room types that lack rooms, in the order in which they were asked for. Nothing is chosen then.
    case lacking([Shortage])

    /// Chooses a room for each one asked for: of its type, with the capacity, free on every night, first by priority
    /// (none comes last), then by id.
    ///
    /// Within a type the largest parties choose first. A room that suits a party suits every smaller one, so this finds
    /// rooms for all whenever there are any.
    ///
    /// - Parameter kept: the room that each had before, which it keeps if it can. Only where not all find a room so, all
    ///   choose anew: a booking is rather moved than refused.
    public init(
        for requests: [BookingRequest.Room], stay: Stay, among candidates: [CandidateRoom], kept: [Int32?] = []
    ) {
        if kept.contains(where: { $0 != nil }) {
            self.init(requests, stay, candidates, kept)
            if case .chosen = self { return }
        }
        self.init(requests, stay, candidates, [])
    }

    private init(
        _ requests: [BookingRequest.Room], _ stay: Stay, _ candidates: [CandidateRoom], _ kept: [Int32?]
    ) {
        var free = candidates.filter { room in !room.takenNights.contains { stay.nights.contains($0) } }
        free.sort {
            ($0.priority ?? .max, $0.priority == nil ? 1 : 0, $0.id) < (
                $1.priority ?? .max, $1.priority == nil ? 1 : 0, $1.id
            )
        }
        var chosen: [Int32?] = Array(repeating: nil, count: requests.count)
        for (position, room) in kept.enumerated().prefix(requests.count) {
            let request = requests[position]
            guard let room,
                let index = free.firstIndex(where: {
                    $0.id == room && $0.type == request.type && $0.capacity >= request.guests
                })
            else { continue }
            chosen[position] = free.remove(at: index).id
        }
        let largestFirst = requests.indices.sorted { (requests[$1].guests, $0) < (requests[$0].guests, $1) }
        for position in largestFirst where chosen[position] == nil {
            let request = requests[position]
            guard let index = free.firstIndex(where: { $0.type == request.type && $0.capacity >= request.guests })
            else { continue }
            chosen[position] = free.remove(at: index).id
        }
        let rooms = chosen.compactMap { $0 }
        guard rooms.count < requests.count else {
            self = .chosen(rooms)
            return
        }
        var lackingTypes: [Int32] = []
        for (position, request) in requests.enumerated() where chosen[position] == nil {
            if !lackingTypes.contains(request.type) { lackingTypes.append(request.type) }
        }
        self = .lacking(
            lackingTypes.map { type in
                let parties = requests.filter { $0.type == type }.map(\.guests)
                let nights = RoomChoice.nightsTooFull(for: parties, type: type, stay: stay, among: candidates)
                return Shortage(type: type, nights: nights.isEmpty ? Array(stay.nights) : nights)
            })
    }

    /// The nights on which, for some size of party, fewer rooms that take it are free than parties of that size or more
    /// are asked for.
    private static func nightsTooFull(
        for parties: [Int32], type: Int32, stay: Stay, among candidates: [CandidateRoom]
    ) -> [Day] {
        stay.nights.filter { night in
            let free = candidates.filter { $0.type == type && !$0.takenNights.contains(night) }
            return parties.contains { guests in
                free.count { $0.capacity >= guests } < parties.count { $0 >= guests }
            }
        }
    }
}
