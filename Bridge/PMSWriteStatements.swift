internal import Booking
internal import PMS
internal import Postgres

/// The statements on `drawbridge.pms_writes`.
enum PMSWriteStatements {
    /// Makes a write, in the transaction that makes it necessary; a booking has one of a kind at a time, and one that is dead
    /// begins anew.
    static let insert = Statement<Void, String, Int32, BookingID>(
        "writes.insert",
        """
        INSERT INTO drawbridge.pms_writes AS known (operation, hotel_id, booking_id) VALUES ($1, $2, $3)
        ON CONFLICT (booking_id, operation) WHERE status IN ('pending', 'retrying', 'dead') DO UPDATE
        SET status = 'pending', earlier_attempts = known.earlier_attempts + known.attempts, attempts = 0,
            next_attempt_at = now(), dead_at = NULL
        WHERE known.status = 'dead'
        """)

    /// Makes one for each hold whose time is over, the oldest first, so many at a time; not for those that have one, or about
    /// which somebody has decided that nothing is to be done.
    static let expireHolds = Statement<Void, Int32>(
        "writes.expire_holds",
        """
        INSERT INTO drawbridge.pms_writes (operation, hotel_id, booking_id)
        SELECT 'expire_hold', hotel_id, booking_id FROM drawbridge.bookings AS booking
        WHERE status = 'hold' AND hold_expires_at <= now()
          AND NOT EXISTS (SELECT FROM drawbridge.pms_writes AS write
                          WHERE write.booking_id = booking.booking_id AND operation = 'expire_hold'
                            AND write.status IN ('pending', 'retrying', 'dead'))
          AND NOT EXISTS (SELECT FROM drawbridge.pms_writes AS write
                          WHERE write.booking_id = booking.booking_id AND operation = 'expire_hold'
                            AND write.status = 'abandoned')
        ORDER BY hold_expires_at LIMIT $1
        ON CONFLICT (booking_id, operation) WHERE status IN ('pending', 'retrying', 'dead') DO NOTHING
        """)

    /// Claims what is due of one hotel, the one whose turn is longest past, but for hotels named: its attempts begin now, and
    /// whoever claims is given so long to say how they ended. Bookings that wait to be made are claimed in their order, none
    /// before an earlier one of the hotel that waits for its next attempt. Operations that are not named are another program's.
    static let claim = Statement<ClaimedWrite, [Int32], Int32, Int64, [String]>(
        "writes.claim",
        """
        WITH next AS (
            SELECT hotel_id FROM drawbridge.pms_writes AS write
            WHERE status IN ('pending', 'retrying') AND next_attempt_at <= now() AND hotel_id <> ALL ($1)
              AND operation = ANY ($4)
              AND NOT (operation = 'settle_booking' AND EXISTS (
                  SELECT FROM drawbridge.pms_writes AS earlier
                  WHERE earlier.hotel_id = write.hotel_id AND earlier.id < write.id AND earlier.operation = 'settle_booking'
                    AND earlier.status IN ('pending', 'retrying') AND earlier.next_attempt_at > now()))
            ORDER BY next_attempt_at LIMIT 1 FOR UPDATE SKIP LOCKED
        ), due AS (
            SELECT id FROM drawbridge.pms_writes AS write
            WHERE hotel_id = (SELECT hotel_id FROM next) AND status IN ('pending', 'retrying') AND next_attempt_at <= now()
              AND operation = ANY ($4)
              AND NOT (operation = 'settle_booking' AND EXISTS (
                  SELECT FROM drawbridge.pms_writes AS earlier
                  WHERE earlier.hotel_id = write.hotel_id AND earlier.id < write.id AND earlier.operation = 'settle_booking'
                    AND earlier.status IN ('pending', 'retrying') AND earlier.next_attempt_at > now()))
            ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED
        )
        UPDATE drawbridge.pms_writes AS write
        SET attempts = attempts + 1, claims = claims + 1, first_attempt_at = COALESCE(first_attempt_at, now()),
            last_attempt_at = now(), next_attempt_at = now() + $3 * INTERVAL '1 millisecond'
        FROM due WHERE write.id = due.id
        RETURNING write.id, operation, hotel_id, booking_id, status, attempts, claims
        """
    ) { row in try ClaimedWrite(&row) }

    /// Nothing is left to be done for a booking that waited to be made.
    static let endSettlement = Statement<Void, BookingID>(
        "writes.end_settlement",
        """
        UPDATE drawbridge.pms_writes
        SET status = 'resolved', next_attempt_at = NULL, dead_at = NULL, resolved_at = now(), resolved_by = 'drawbridge'
        WHERE booking_id = $1 AND operation = 'settle_booking' AND status IN ('pending', 'retrying', 'dead')
        """)

    /// Whether a claim is still the last one; nobody makes another until the transaction ends.
    static let holds = Statement<Int64, Int64, Int32>(
        "writes.holds",
        """
        SELECT id FROM drawbridge.pms_writes
        WHERE id = $1 AND claims = $2 AND status IN ('pending', 'retrying') FOR UPDATE
        """
    ) { row in try row.next() }

    /// It took effect; of what had never failed nothing is kept.
    static let resolve = Statement<Void, Int64, Int32>(
        "writes.resolve",
        """
        WITH gone AS (
            DELETE FROM drawbridge.pms_writes
            WHERE id = $1 AND claims = $2 AND status = 'pending' AND error_code IS NULL
        )
        UPDATE drawbridge.pms_writes
        SET status = 'resolved', next_attempt_at = NULL, resolved_at = now(), resolved_by = COALESCE(resolved_by, 'drawbridge')
        WHERE id = $1 AND claims = $2 AND status IN ('pending', 'retrying') AND error_code IS NOT NULL
        """)

    /// What an attempt came to that did not take effect. The last two say why, if it failed.
    static let settle = Statement<Int64, Int64, Int32, String, Int32, Int64?, String?, String?>(
        "writes.settle",
        """
        UPDATE drawbridge.pms_writes
        SET status = $3, attempts = $4, next_attempt_at = now() + $5 * INTERVAL '1 millisecond',
            error_code = COALESCE($6, error_code), error_message = COALESCE($7, error_message),
            dead_at = CASE $3 WHEN 'dead' THEN now() END
        WHERE id = $1 AND claims = $2 AND status IN ('pending', 'retrying')
        RETURNING id
        """
    ) { row in try row.next() }

    // MARK: Dead letters

    /// Some hotels' writes that stand so, the newest first, before an id; nil: of every hotel, of every operation.
    static let list = Statement<WriteRecord, [Int32]?, String, String?, Int64, Int32>(
        "writes.list",
        """
        SELECT id, operation, hotel_id, booking_id, payload, status, attempts + earlier_attempts, error_code, error_message,
               created_at, first_attempt_at, last_attempt_at, next_attempt_at, dead_at, resolved_at, resolved_by, notes
        FROM drawbridge.pms_writes
        WHERE status = $2 AND id < $4 AND ($1::int4[] IS NULL OR hotel_id = ANY ($1))
          AND ($3::text IS NULL OR operation = $3)
        ORDER BY id DESC LIMIT $5
        """
    ) { row in try WriteRecord(&row) }

    static let find = Statement<WriteRecord, Int64, [Int32]?>(
        "writes.find",
        """
        SELECT id, operation, hotel_id, booking_id, payload, status, attempts + earlier_attempts, error_code, error_message,
               created_at, first_attempt_at, last_attempt_at, next_attempt_at, dead_at, resolved_at, resolved_by, notes
        FROM drawbridge.pms_writes WHERE id = $1 AND ($2::int4[] IS NULL OR hotel_id = ANY ($2))
        """
    ) { row in try WriteRecord(&row) }

    /// Begins anew with all attempts; no row where it is no dead letter.
    static let retry = Statement<WriteRecord, Int64, String>(
        "writes.retry",
        """
        UPDATE drawbridge.pms_writes
        SET status = 'pending', earlier_attempts = earlier_attempts + attempts, attempts = 0, next_attempt_at = now(),
            dead_at = NULL, resolved_by = $2
        WHERE id = $1 AND status = 'dead'
        RETURNING id, operation, hotel_id, booking_id, payload, status, attempts + earlier_attempts, error_code, error_message,
                  created_at, first_attempt_at, last_attempt_at, next_attempt_at, dead_at, resolved_at, resolved_by, notes
        """
    ) { row in try WriteRecord(&row) }

    /// No row where it is no dead letter.
    static let abandon = Statement<WriteRecord, Int64, String, String>(
        "writes.abandon",
        """
        UPDATE drawbridge.pms_writes
        SET status = 'abandoned', dead_at = NULL, resolved_at = now(), resolved_by = $2, notes = $3
        WHERE id = $1 AND status = 'dead'
        RETURNING id, operation, hotel_id, booking_id, payload, status, attempts + earlier_attempts, error_code, error_message,
                  created_at, first_attempt_at, last_attempt_at, next_attempt_at, dead_at, resolved_at, resolved_by, notes
        """
    ) { row in try WriteRecord(&row) }

    /// How many there are of each kind that are open, and dead, and for how many seconds the oldest has been.
    static let figures = Statement<WriteFigures>(
        "writes.figures",
        """
        SELECT operation, status = 'dead', count(*),
               extract(epoch FROM now() - min(COALESCE(dead_at, created_at)))::INTEGER
        FROM drawbridge.pms_writes WHERE status IN ('pending', 'retrying', 'dead')
        GROUP BY 1, 2
        """
    ) { row in
        WriteFigures(
            operation: try row.next(), isDead: try row.next(), count: try row.next(), age: try row.next(Int32.self))
    }

    /// Those that ended more than so many days ago, so many at a time.
    static let deleteOld = Statement<Void, Int32>(
        "writes.delete_old",
        """
        DELETE FROM drawbridge.pms_writes WHERE id IN (
            SELECT id FROM drawbridge.pms_writes
            WHERE status IN ('resolved', 'abandoned') AND resolved_at < now() - make_interval(days => $1)
              -- What is never to be done must not be begun anew.
              AND (status = 'resolved' OR NOT EXISTS (SELECT FROM drawbridge.bookings AS booking
                                                      WHERE booking.booking_id = pms_writes.booking_id
                                                        AND booking.status = 'hold'))
            ORDER BY resolved_at LIMIT 1000)
        """)
}

/// A write that this bridge has claimed.
struct ClaimedWrite: Sendable {
    let id: Int64
    let operation: BackgroundWrite.Operation
    let hotel: Int32
    let booking: BookingID
    let state: BackgroundWrite
    let claim: Int32

    fileprivate init(_ row: inout RowDecoder) throws {
        func valid<Value>(_ value: Value?) throws -> Value {
            guard let value else { throw PostgresError(.decoding, "a row of pms_writes breaks the schema's rules") }
            return value
        }
        id = try row.next()
        operation = try valid(BackgroundWrite.Operation(rawValue: try row.next()))
        hotel = try row.next()
        booking = try row.next()
        state = BackgroundWrite(
            status: try valid(BackgroundWrite.Status(rawValue: try row.next())), attempts: Int(try row.next(Int32.self))
        )
        claim = try row.next()
    }

    /// Gives a row while the claim is the last one. It belongs among what is read under the hotel's lock: without a row
    /// somebody else has the write now, or an attempt of which nobody knew the end took effect.
    var holds: Query<Int64> { PMSWriteStatements.holds(id, claim) }

    /// Says that it took effect; it belongs among what commits with the PMS's rows.
    var resolution: Query<Void> { PMSWriteStatements.resolve(id, claim) }
}

/// A write as administrators see it.
struct WriteRecord: Sendable {
    let id: Int64
    let operation: String
    let hotel: Int32
    let booking: BookingID
    let payload: JSON
    let status: String
    let attempts: Int32
    let errorCode: String?
    let errorMessage: String?
    let createdAt: Instant
    let firstAttemptAt: Instant?
    let lastAttemptAt: Instant?
    let nextAttemptAt: Instant?
    let deadAt: Instant?
    let resolvedAt: Instant?
    let resolvedBy: String?
    let notes: String?

    fileprivate init(_ row: inout RowDecoder) throws {
        id = try row.next()
        operation = try row.next()
        hotel = try row.next()
        booking = try row.next()
        payload = try row.next()
        status = try row.next()
        attempts = try row.next()
        errorCode = try row.next()
        errorMessage = try row.next()
        createdAt = try row.next()
        firstAttemptAt = try row.next()
        lastAttemptAt = try row.next()
        nextAttemptAt = try row.next()
        deadAt = try row.next()
        resolvedAt = try row.next()
        resolvedBy = try row.next()
        notes = try row.next()
    }
}

/// How many writes of a kind there are.
struct WriteFigures: Sendable {
    let operation: String
    let isDead: Bool
    let count: Int64
    /// For how many seconds the oldest has been.
    let age: Int32
}
