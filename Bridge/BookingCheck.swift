internal import Booking
internal import Postgres

/// A booking that is to be compared with the PMS.
struct BookingCheck: Sendable {
    let booking: BookingID
    let hotel: Int32
    /// Which time it was asked for; nil where nobody wrote that down.
    var asked: Int32?
    /// The term of the leader that does it; nil for whoever is asked by hand.
    var term: Int64?

    /// What the transaction of one step writes besides.
    var step: [Query<Void>] { term.map { [CheckStatements.requireTerm($0)] } ?? [] }

    /// The same of the last step.
    var end: [Query<Void>] { step + (asked.map { [CheckStatements.remove(booking, $0)] } ?? []) }

    /// What was found and done.
    enum Outcome: String, Sendable {
        /// It is as others were told.
        case agrees
        /// The front desk had changed something; others are told.
        case noted
        /// A room was taken twice, and the booking has another one now.
        case moved
        /// A room is taken twice, and there is no other; others are told.
        case conflict
        /// A conflict is over; others are told.
        case settled
        /// Somebody at the front desk works on it: it is looked at later.
        case busy
    }
}

/// What is kept of the change log, and of what is to be compared.
enum CheckStatements {
    /// Lets the transaction fail unless the term still runs.
    static let requireTerm = Statement<Void, Int64>(
        "bridge.require_term", "SELECT drawbridge.require_term($1)::TEXT"
    ) { row in _ = try row.next(String?.self) }

    static let position = Statement<(resumePoint: Int64, newest: Int64, mark: String?)>(
        "bridge.change_log_position",
        "SELECT resume_point, newest, newest_mark FROM drawbridge.change_log_position"
    ) { row in (try row.next(), try row.next(), try row.next()) }

    static let setPosition = Statement<Void, Int64, Int64, String?>(
        "bridge.set_change_log_position",
        """
        INSERT INTO drawbridge.change_log_position (resume_point, newest, newest_mark) VALUES ($1, $2, $3)
        ON CONFLICT (only_row) DO UPDATE
        SET resume_point = EXCLUDED.resume_point, newest = EXCLUDED.newest, newest_mark = EXCLUDED.newest_mark,
            noted_at = now()
        """)

    /// Which of these reservations are bookings of ours, and which of the transactions that changed them was a command of
    /// ours: the last one is known; one before it is looked at for nothing.
    static let whose = Statement<(booking: BookingID, writer: Int64, isOurs: Bool), [BookingID], [Int64]>(
        "bridge.whose_changes",
        """
        SELECT booking.booking_id, change.writer,
               COALESCE(booking.commanded_by::TEXT::BIGINT & 4294967295 = change.writer, FALSE)
        FROM unnest($1, $2) AS change (booking_id, writer)
        JOIN drawbridge.bookings AS booking ON booking.booking_id = change.booking_id
        """
    ) { row in (try row.next(), try row.next(), try row.next()) }

    /// What has ended needs no look.
    static let ask = Statement<Void, [BookingID]>(
        "bridge.ask_for_checks",
        """
        INSERT INTO drawbridge.booking_checks (booking_id, hotel_id)
        SELECT booking_id, hotel_id FROM drawbridge.bookings
        WHERE booking_id = ANY ($1) AND status IN ('hold', 'confirmed') ORDER BY booking_id
        ON CONFLICT (booking_id) DO UPDATE SET asked = booking_checks.asked % 1000000000 + 1, due_at = now()
        """)

    /// Where the log does not say what has changed since, everything is looked at whose nights are not long past: of so many
    /// bookings from an id on at a time, whether these are many or few among them, so that no statement takes long.
    ///
    /// Gives the last of these ids; no row where there is none.
    static let askForSome = Statement<BookingID, BookingID, Int32>(
        "bridge.ask_for_some_checks",
        """
        WITH page AS MATERIALIZED (
            SELECT booking_id, hotel_id, status, departure FROM drawbridge.bookings
            WHERE booking_id > $1 ORDER BY booking_id LIMIT $2
        ), asked AS (
            INSERT INTO drawbridge.booking_checks (booking_id, hotel_id)
            SELECT booking_id, hotel_id FROM page
            WHERE status IN ('hold', 'confirmed') AND departure >= current_date - 2 ORDER BY booking_id
            ON CONFLICT (booking_id) DO UPDATE SET asked = booking_checks.asked % 1000000000 + 1, due_at = now()
        )
        SELECT booking_id FROM page ORDER BY booking_id DESC LIMIT 1
        """
    ) { row in try row.next() }

    /// A conflict may be over when something else has changed at the hotel.
    static let hurry = Statement<Void, [Int32]>(
        "bridge.hurry_checks",
        "UPDATE drawbridge.booking_checks SET due_at = now() WHERE hotel_id = ANY ($1) AND attempts > 0")

    static let due = Statement<BookingCheck, [Int32]>(
        "bridge.due_checks",
        """
        SELECT booking_id, hotel_id, asked FROM drawbridge.booking_checks
        WHERE due_at <= now() AND hotel_id <> ALL ($1) ORDER BY due_at LIMIT 500
        """
    ) { row in BookingCheck(booking: try row.next(), hotel: try row.next(), asked: try row.next()) }

    static let remove = Statement<Void, BookingID, Int32>(
        "bridge.remove_check", "DELETE FROM drawbridge.booking_checks WHERE booking_id = $1 AND asked = $2")

    /// After a second at first, then after twice as long each time, up to a minute.
    static let postpone = Statement<Void, BookingID, Int32>(
        "bridge.postpone_check",
        """
        UPDATE drawbridge.booking_checks
        SET attempts = LEAST(attempts + 1, 1000000),
            due_at = now() + make_interval(secs => LEAST(60, power(2, LEAST(attempts, 6))))
        WHERE booking_id = $1 AND asked = $2
        """)

    static let tell = Statement<Void, BookingID, [UInt8]>(
        "bridge.set_told_hash", "UPDATE drawbridge.bookings SET told_hash = $2 WHERE booking_id = $1")

    static let waiting = Statement<Int64>(
        "bridge.waiting_checks", "SELECT count(*) FROM drawbridge.booking_checks"
    ) { row in try row.next() }
}
