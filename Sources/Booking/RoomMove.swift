public import Stay

/// Some nights of a reservation that go to another room of the same type.
public struct RoomMove: Hashable, Sendable {
    /// The room that is taken twice.
    public let from: Int32
    /// The room that takes its place.
    public let to: Int32

    /// A move.
    public init(from: Int32, to: Int32) {
        self.from = from
        self.to = to
    }

    /// What is to be moved: everything that a reservation has in one room.
    public struct Part: Hashable, Sendable {
        /// The room it is in now.
        public let room: Int32
        /// The room's type.
        public let type: Int32
        /// How many sleep in it at most.
        public let guests: Int32
        /// The nights.
        public let nights: Set<Day>

        /// A part of a reservation.
        public init(room: Int32, type: Int32, guests: Int32, nights: Set<Day>) {
            self.room = room
            self.type = type
            self.guests = guests
            self.nights = nights
        }
    }

    /// Finds a room for each part: of its type, with the capacity, free on all its nights; first by priority (none comes last),
    /// then by id. The largest parties choose first.
    ///
    /// - Parameters:
    ///   - candidates: with the nights on which anybody takes them, this reservation included.
    /// - Returns: nil where not all of them find one: then none is moved.
    public static func moves(of parts: [Part], among candidates: [CandidateRoom]) -> [RoomMove]? {
        var free = candidates.sorted {
            ($0.priority ?? .max, $0.priority == nil ? 1 : 0, $0.id) < (
                $1.priority ?? .max, $1.priority == nil ? 1 : 0, $1.id
            )
        }
        var moves: [RoomMove] = []
        for part in parts.sorted(by: { ($1.guests, $0.room) < ($0.guests, $1.room) }) {
            let index = free.firstIndex { room in
                room.type == part.type && room.capacity >= part.guests && room.id != part.room
                    && part.nights.isDisjoint(with: room.takenNights)
            }
            guard let index else { return nil }
            moves.append(RoomMove(from: part.room, to: free.remove(at: index).id))
        }
        return moves
    }
}
