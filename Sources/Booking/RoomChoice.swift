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
    /// The ids of the rooms, in the order of the rooms asked for; nil where one is sold beyond those that are free.
    case chosen([Int32?])
    /// The room types that lack rooms, in the order in which they were asked for. Nothing is chosen then.
    case lacking([Shortage])

    /// What may be sold of a room type on a night besides its free rooms; less than none where free rooms are promised to
    /// guests who have none yet.
    public typealias Balance = (_ type: Int32, _ night: Day) -> Int32

    /// Chooses a room for each one asked for: of its type, with the capacity, free on every night, first by priority
    /// (none comes last), then by id.
    ///
    /// Within a type the largest parties choose first. A room that suits a party suits every smaller one, so this finds
    /// rooms for as many as there are any.
    ///
    /// - Parameters:
    ///   - kept: the room that each had before, which it keeps if it can. Only where more find a room if all choose anew,
    ///     they do: a booking is rather moved than refused.
    ///   - held: the nights for which it had them; nil: all of the stay's. On others, who keeps a room takes one of those that
    ///     are free, as everybody does.
    ///   - balance: what may be sold besides free rooms; nothing by default.
    public init(
        for requests: [BookingRequest.Room], stay: Stay, among candidates: [CandidateRoom], kept: [Int32?] = [],
        held: Range<Day>? = nil, balance: Balance = { _, _ in 0 }
    ) {
        let free = Self.free(candidates, stay)
        let held = held ?? stay.nights
        let anew = Selection(requests, stay, free, [], held, balance)
        var selection = anew
        if kept.contains(where: { $0 != nil }) {
            let keeping = Selection(requests, stay, free, kept, held, balance)
            if keeping.lacking.isEmpty, !anew.lacking.isEmpty || keeping.roomlessCount <= anew.roomlessCount {
                selection = keeping
            }
        }
        guard !selection.lacking.isEmpty else {
            self = .chosen(selection.rooms)
            return
        }
        self = .lacking(
            selection.lacking.map { type in
                let parties = requests.filter { $0.type == type }.map(\.guests)
                let nights = RoomChoice.nightsTooFull(
                    for: parties, type: type, stay: stay, among: candidates, balance: balance)
                return Shortage(type: type, nights: nights.isEmpty ? Array(stay.nights) : nights)
            })
    }

    /// The rooms that are free on every night, in the order in which they are given away.
    private static func free(_ candidates: [CandidateRoom], _ stay: Stay) -> [CandidateRoom] {
        candidates.filter { room in !room.takenNights.contains { stay.nights.contains($0) } }
            .sorted {
                ($0.priority ?? .max, $0.priority == nil ? 1 : 0, $0.id) < (
                    $1.priority ?? .max, $1.priority == nil ? 1 : 0, $1.id
                )
            }
    }

    /// Rooms for as many as possible, and the types of which too few can be sold.
    private struct Selection {
        var rooms: [Int32?]
        var lacking: [Int32] = []

        var roomlessCount: Int { rooms.count { $0 == nil } }

        init(
            _ requests: [BookingRequest.Room], _ stay: Stay, _ free: [CandidateRoom], _ kept: [Int32?],
            _ held: Range<Day>, _ balance: Balance
        ) {
            let all = free
            var free = free
            rooms = Array(repeating: nil, count: requests.count)
            for (position, room) in kept.enumerated().prefix(requests.count) {
                let request = requests[position]
                guard let room,
                    let index = free.firstIndex(where: {
                        $0.id == room && $0.type == request.type && $0.capacity >= request.guests
                    })
                else { continue }
                rooms[position] = free.remove(at: index).id
            }
            // Who keeps a room takes it from nobody on the nights for which he had it; the others share what is left. On other
            // nights all share all.
            let others = requests.indices.filter { rooms[$0] == nil }.map { requests[$0] }
            func check(_ requests: [BookingRequest.Room], _ free: [CandidateRoom], _ nights: [Day]) {
                for request in requests where !lacking.contains(request.type) {
                    guard let least = nights.map({ balance(request.type, $0) }).min() else { return }
                    if Self.excess(of: requests, over: free, type: request.type) > least {
                        lacking.append(request.type)
                    }
                }
            }
            check(others, free, stay.nights.filter { held.contains($0) })
            check(requests, all, stay.nights.filter { !held.contains($0) })
            let largestFirst = requests.indices.sorted { (requests[$1].guests, $0) < (requests[$0].guests, $1) }
            for position in largestFirst where rooms[position] == nil {
                let request = requests[position]
                let index = free.firstIndex { $0.type == request.type && $0.capacity >= request.guests }
                if let index { rooms[position] = free.remove(at: index).id }
            }
        }

        /// How many parties of a type more there are than rooms for them; less than none where rooms are left.
        private static func excess(
            of requests: [BookingRequest.Room], over free: [CandidateRoom], type: Int32
        ) -> Int32 {
            let parties = requests.filter { $0.type == type }.map(\.guests)
            let rooms = free.filter { $0.type == type }.map(\.capacity)
            return parties.reduce(Int32.min) { most, guests in
                max(most, Int32(parties.count { $0 >= guests }) - Int32(rooms.count { $0 >= guests }))
            }
        }
    }

    /// The nights on which, for some size of party, fewer rooms that take it can be sold than parties of that size or more
    /// are asked for.
    private static func nightsTooFull(
        for parties: [Int32], type: Int32, stay: Stay, among candidates: [CandidateRoom], balance: Balance
    ) -> [Day] {
        stay.nights.filter { night in
            let free = candidates.filter { $0.type == type && !$0.takenNights.contains(night) }
            return parties.contains { guests in
                free.count { $0.capacity >= guests } + Int(balance(type, night)) < parties.count { $0 >= guests }
            }
        }
    }
}
