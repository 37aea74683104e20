public import Availability
public import Booking
public import Loop
public import Postgres
public import Stay

/// The half of a property management system's adapter that reads and writes reservations.
///
/// The bridge keeps tables of its own beside the PMS's reservations: bookings, events, the audit log, stored answers. What
/// happens to a reservation and what is noted of it must both be there or neither, so an adapter takes the bridge's own
/// statements along wherever it reads and commits. One that works on the PMS's database runs all of them in one transaction
/// there. One that calls a vendor over the network runs the bridge's statements in a transaction of its own and calls the
/// vendor between reading and committing; what the vendor does not take it throws as `WriteFailure`, with doubt where it may
/// have been done. Whoever tries again then reads first, so such an adapter looks in the vendor's PMS, by the
/// `booking_engine_id` for instance, for what an attempt before may have done.
@OnLoop
public protocol ReservationAdapter: Sendable {
    /// Begins a piece of work on a hotel's reservations.
    ///
    /// - Parameter deadline: how long it may take to be able to begin.
    /// - Throws: `PostgresError`.
    func begin(deadline: Duration) async throws -> any ReservationWork

    /// A reservation as it is now; nil when it is gone.
    ///
    /// - Throws: `PostgresError`.
    func reservation(_ id: BookingID, hotel: Int32) async throws -> Reservation?

    /// Several reservations as they are now, by one question however many there are; those that are gone are left out.
    ///
    /// - Throws: `PostgresError`.
    func reservations(_ ids: [BookingID], hotels: Set<Int32>) async throws -> [BookingID: Reservation]
}

/// One piece of work on a hotel's reservations: it reads, then commits once or is given up. Not committed, it leaves
/// nothing behind.
@OnLoop
public protocol ReservationWork: AnyObject {
    /// Reads what a command needs, with no other work of ours on the hotel under way until this one ends.
    ///
    /// - Parameters:
    ///   - first: own statements that run before this work waits for others on the hotel.
    ///   - then: own statements that run after others on the hotel have ended, and so see what they did.
    /// - Throws: `PostgresError`.
    func read(
        _ question: ReservationQuestion, first: Batch, then: Batch, deadline: Duration?
    ) async throws -> (facts: ReservationFacts, first: Batch.Rows, then: Batch.Rows)

    /// Reads more of the bridge's own tables, by what was read before.
    ///
    /// - Throws: `PostgresError`.
    func more(_ own: Batch, deadline: Duration?) async throws -> Batch.Rows

    /// Writes into the PMS and into the bridge's own tables, and commits: all of it or nothing.
    ///
    /// - Throws: `PostgresError`, `WriteFailure`; where they leave doubt nobody knows whether it was committed.
    func commit(_ writes: [ReservationWrite], with own: [Query<Void>]) async throws

    /// Gives it up.
    func rollback()

    /// Whether what it commits waits to be written into the PMS, which cannot be reached; known once it has read.
    var isPending: Bool { get }
}

extension ReservationWork {
    public var isPending: Bool { false }
}

/// What a command needs to know of the PMS.
public struct ReservationQuestion: Sendable {
    /// The hotel.
    public var hotel: Int32
    /// The reservation that is to be changed or cancelled; it is locked. A front desk that works on it is not waited for, since
    /// all of the hotel would wait along.
    public var reservation: BookingID?
    /// The nights and rooms that are looked for; what the reservation itself takes counts as free.
    public var wanted: (stay: Stay, rooms: [BookingRequest.Room])?
    /// The guest whose record is looked for.
    public var guest: Guest?
    /// Whether to say which of the reservation's nights another one takes as well.
    public var looksForShared = false
    /// The types and nights of rooms that a reservation could be moved to.
    public var candidates: (types: Set<Int32>, nights: Range<Day>)?

    /// A question about a hotel.
    public init(hotel: Int32) { self.hotel = hotel }
}

/// What the PMS says.
public struct ReservationFacts: Sendable {
    /// The rooms that could be given away, locked until the work ends.
    public let rooms: [LockedRoom]
    /// The nights of the stay that other reservations take.
    public let takenNights: [TakenNight]
    /// Those of them that have no room, by reservation.
    public let unassigned: [UnassignedNight]
    /// What is sold without a room, as it was known last; nothing where the PMS has been asked, and `unassigned` says it.
    public var lastKnownSold = Overbooking()
    /// The plans that can be sold, priced in the hotel's currency.
    public let plans: @Sendable (Currency) -> [PlanKey: Plan]
    /// The record of the guest, if there is one.
    public let client: BookingID?
    /// The reservation that was asked for.
    public let reservation: Found
    /// The nights that it has in rooms that others take as well; looked for only where that was asked.
    public let sharedNights: [TakenNight]
    /// When the work began: what the rows it writes say.
    public let now: Instant

    /// The type of each of the rooms.
    public var roomTypes: [Int32: Int32] {
        Dictionary(rooms.map { ($0.id, $0.type) }, uniquingKeysWith: { first, _ in first })
    }

    /// What became of a reservation that was asked for.
    public enum Found: Sendable {
        /// It is there, and nobody else changes it until the work ends.
        case locked(Reservation)
        /// Somebody at the front desk works on it.
        case busy
        /// The front desk has deleted it, or none was asked for.
        case gone
    }
}

/// What is written into the PMS.
public enum ReservationWrite: Sendable {
    case create(NewReservation)
    case change(ReservationChange)
    case cancel(ReservationCancellation)
    case move(ReservationMoves)
}

/// A reservation as it is written into the PMS: whole, priced, its rooms chosen.
public struct NewReservation: Sendable {
    public let id: BookingID
    public let request: BookingRequest
    /// The guest's record; nil where the PMS has none yet.
    public let client: BookingID?
    /// The id of the record that is made then.
    public let newClient = BookingID.random()
    public let rooms: [ReservedRoom]

    public init(id: BookingID, request: BookingRequest, client: BookingID?, rooms: [ReservedRoom]) {
        self.id = id
        self.request = request
        self.client = client
        self.rooms = rooms
    }
}

/// What is to be different about a reservation.
public struct ReservationChange: Sendable {
    /// The reservation as it was found, locked.
    public let reservation: Reservation
    public let hotel: Int32
    /// The nights it has then, and the rooms with their prices; nil where they stay as they are.
    public var arrangement: (stay: Stay, rooms: [ReservedRoom])?
    /// Who stays, with the record that the PMS has of the guest, and the id of the one that is made where it has none; nil
    /// where that stays as it is.
    public var guest: (guest: Guest, client: BookingID?, newClient: BookingID)?
    public var paymentTiming: PaymentTiming?
    /// Empty to take the remark away.
    public var comment: String?
    /// Whether what is held is taken.
    public var confirms = false

    public init(_ reservation: Reservation, hotel: Int32) {
        self.reservation = reservation
        self.hotel = hotel
    }
}

/// A reservation that is given up.
public struct ReservationCancellation: Sendable {
    /// The reservation as it was found, locked.
    public let reservation: Reservation
    public let hotel: Int32
    /// Whether its nights are to be paid in full all the same.
    public let chargesInFull: Bool

    public init(_ reservation: Reservation, hotel: Int32, chargesInFull: Bool) {
        self.reservation = reservation
        self.hotel = hotel
        self.chargesInFull = chargesInFull
    }
}

/// A reservation that gets other rooms, and stays as it is otherwise.
public struct ReservationMoves: Sendable {
    /// The reservation as it was found, locked.
    public let reservation: Reservation
    public let hotel: Int32
    public let moves: [RoomMove]

    public init(_ reservation: Reservation, hotel: Int32, _ moves: [RoomMove]) {
        self.reservation = reservation
        self.hotel = hotel
        self.moves = moves
    }

    /// The rows of each move.
    func rows(of move: RoomMove) -> [Reservation.TakingNight] {
        reservation.taking.filter { $0.room == move.from }
    }

    /// What is free again, and what is taken, once it is committed.
    public var effect: (released: [ReleasedNight], taken: [(room: Int32, night: Day)]) {
        let rows = moves.flatMap { move in self.rows(of: move).map { (move, $0) } }
        return (
            rows.map { ReleasedNight(room: $0.1.room, night: $0.1.night) },
            rows.compactMap { move, row in row.night.map { (move.to, $0) } }
        )
    }
}

/// A reservation as the PMS has it.
public struct Reservation: Sendable {
    public let id: BookingID
    /// Where it stands.
    public let status: ReservationStatus
    /// Its dates; nil where the PMS has none that are a stay.
    public let stay: Stay?
    /// In whose name it is.
    public let guest: Guest
    /// The PMS's record of the guest.
    let client: BookingID
    /// Its nights in order, those that were cancelled among them.
    let nights: [Night]
    /// The rows that take rooms; read only where it is locked, and then with those on no night of the calendar.
    var taking: [TakingNight] = []

    struct Night: Sendable {
        let id: BookingID
        let night: Day
        let room: Int32?
        let type: Int32?
        let number: String?
        let guests: Int32?
        let plan: PlanKey?
        let price: FixedPoint?
        let isCancelled: Bool
    }

    struct TakingNight: Sendable {
        let id: BookingID
        let room: Int32?
        let night: Day?
    }

    /// Its nights, priced in minor units of the currency.
    public func nights(_ currency: Currency) -> [ReservationNight] {
        nights.map {
            ReservationNight(
                night: $0.night, room: $0.room, type: $0.type, number: $0.number, guests: $0.guests,
                plan: $0.plan, price: $0.price?.minorUnits(currency), isCancelled: $0.isCancelled)
        }
    }

    /// The rooms in which it takes nights now; known where it is locked.
    public var roomsTaken: Set<Int32> { Set(taking.compactMap(\.room)) }

    /// What it has in some rooms, each room as one part; where it is in none of them on a night of the calendar, nothing.
    public func parts(in rooms: Set<Int32>) -> [RoomMove.Part] {
        rooms.sorted().compactMap { room in
            let nights = self.nights.filter { !$0.isCancelled && $0.room == room }
            guard let type = nights.first?.type else { return nil }
            return RoomMove.Part(
                room: room, type: type, guests: nights.compactMap(\.guests).max() ?? 1, nights: Set(nights.map(\.night))
            )
        }
    }

    /// What a cancellation of all of it gives back.
    public var released: [ReleasedNight] { taking.map { ReleasedNight(room: $0.room, night: $0.night) } }
}

/// A night that a reservation no longer takes.
public struct ReleasedNight: Sendable {
    /// Nil where the front desk had assigned none.
    public let room: Int32?
    /// Nil where its date was none of the calendar, such as `infinity`.
    public let night: Day?
}

/// A room that is ours to give away until the work ends.
public struct LockedRoom: Sendable {
    public let id: Int32
    public let type: Int32
    public let capacity: Int32
    public let priority: Int32?
    /// The number on the door; nil where it is not known.
    public let number: String?
}

/// One room of a reservation, the same for all its nights.
public struct ReservedRoom: Sendable {
    /// Nil where it is sold beyond the free rooms: the front desk finds it one.
    public let room: Int32?
    public let type: Int32
    public let guests: Int32
    public let plan: Plan
    public let quote: RoomQuote

    public init(room: Int32?, type: Int32, guests: Int32, plan: Plan, quote: RoomQuote) {
        self.room = room
        self.type = type
        self.guests = guests
        self.plan = plan
        self.quote = quote
    }
}

// MARK: - What a change comes to

extension ReservationChange {
    /// The rows that stay, those that go and those that come.
    ///
    /// A night keeps its row if nothing about it changes. One whose room, guests, plan or price changes is cancelled and
    /// entered anew, like one that is dropped or added: so each row says what it always said, with its rates.
    struct Nights: Sendable {
        var dropped: [Reservation.TakingNight] = []
        var entered: [(room: ReservedRoom, night: RoomQuote.Night)] = []
    }

    /// Nil where the nights stay as they are.
    func nights() -> Nights? {
        guard let arrangement else { return nil }
        var nights = Nights()
        var kept: Set<BookingID> = []
        for room in arrangement.rooms {
            for night in room.quote.nights {
                let row = reservation.nights.first { $0.stays(room, night) && !kept.contains($0.id) }
                if let row { kept.insert(row.id) } else { nights.entered.append((room, night)) }
            }
        }
        nights.dropped = reservation.taking.filter { !kept.contains($0.id) }
        return nights
    }

    /// What is free again, and what is taken, once it is committed. A night that is entered anew is in both.
    public var effect: (released: [ReleasedNight], taken: [(room: Int32?, night: Day)]) {
        guard let nights = nights() else { return ([], []) }
        return (
            nights.dropped.map { ReleasedNight(room: $0.room, night: $0.night) },
            nights.entered.map { ($0.room.room, $0.night.night) }
        )
    }
}

extension Reservation.Night {
    fileprivate func stays(_ room: ReservedRoom, _ night: RoomQuote.Night) -> Bool {
        !isCancelled && self.night == night.night && self.room == room.room && guests == room.guests
            && plan == room.plan.key && price?.minorUnits(night.price.currency) == night.price.minorUnits
    }
}

extension FixedPoint {
    /// The PMS keeps prices in whole units of the currency, with decimals where it has them. Nil if it does not fit.
    func minorUnits(_ currency: Currency) -> Int64? {
        let scale = (0..<currency.exponent).reduce(Int64(1)) { scale, _ in scale * 10 }
        let (product, isOver) = tenThousandths.multipliedReportingOverflow(by: scale)
        return isOver ? nil : product / FixedPoint.one
    }
}
