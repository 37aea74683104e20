internal import Availability
internal import Booking
internal import Postgres
internal import Stay

extension RhtHotel {
    /// What the adapter reads of hotels, each for a batch of them. A statement is named after the table it reads.
    enum Statements {
        static let anyHotel = Statement<Int32>("rht.any_hotel", "SELECT id FROM hotels LIMIT 1") { row in
            try row.next()
        }

        static let hotelIDs = Statement<Int32>("rht.hotel_ids", "SELECT id FROM hotels ORDER BY sort_order, id") {
            row in
            try row.next()
        }

        /// Which of some hotels there are.
        static let present = Statement<Int32, [Int32]>(
            "rht.present_hotels", "SELECT id FROM hotels WHERE id = ANY ($1)"
        ) { row in try row.next() }

        static let hotels = Statement<Hotel, [Int32]>(
            "rht.hotels",
            """
            SELECT id, name, formal_name, facility_type, open_date, total_rooms, postal_code, address, email,
                   phone_number, created_at AT TIME ZONE current_setting('TimeZone')
            FROM hotels WHERE id = ANY ($1)
            """
        ) { row in
            Hotel(
                id: try row.next(), name: try row.next(), formalName: try row.next(), facilityType: try row.next(),
                openDate: try row.next(), totalRooms: try row.next(), postalCode: try row.next(),
                address: try row.next(), email: try row.next(), phoneNumber: try row.next(),
                createdAt: try row.next())
        }

        static let roomTypes = Statement<RoomType, [Int32]>(
            "rht.room_types",
            """
            SELECT id, hotel_id, name, description, created_at AT TIME ZONE current_setting('TimeZone')
            FROM room_types WHERE hotel_id = ANY ($1) ORDER BY hotel_id, id
            """
        ) { row in
            RoomType(
                id: try row.next(), hotel: try row.next(), name: try row.next(), description: try row.next(),
                createdAt: try row.next())
        }

        static let sellableRooms = Statement<Room, [Int32]>(
            "rht.rooms",
            """
            SELECT id, hotel_id, room_type_id, capacity, smoking, has_wet_area FROM rooms
            WHERE hotel_id = ANY ($1) AND for_sale AND NOT is_staff_room ORDER BY hotel_id, id
            """
        ) { row in
            Room(
                id: try row.next(), hotel: try row.next(), type: try row.next(), capacity: try row.next(),
                allowsSmoking: try row.next(), hasWetArea: try row.next())
        }

        /// A hotel's own add-on takes the place of the one of all hotels that it was made from, whether it is shown or
        /// not.
        static let addOns = Statement<AddOn, [Int32]>(
            "rht.addons",
            """
            SELECT own.hotel_id, COALESCE(own.addon_type::TEXT, 'other'), own.name::TEXT FROM addons_hotel AS own
            WHERE own.hotel_id = ANY ($1) AND own.visible AND own.name IS NOT NULL
            UNION ALL
            SELECT hotel.id, COALESCE(shared.addon_type::TEXT, 'other'), shared.name::TEXT
            FROM unnest($1) AS hotel (id), addons_global AS shared
            WHERE shared.visible AND shared.name IS NOT NULL AND NOT EXISTS (
                SELECT FROM addons_hotel AS own
                WHERE own.hotel_id = ANY ($1) AND own.hotel_id = hotel.id AND own.addons_global_id = shared.id)
            ORDER BY 1, 2, 3
            """
        ) { row in AddOn(hotel: try row.next(), kind: try row.next(), name: try row.next()) }

        /// What one hotel offers: with the hotel as a parameter of the function, only its own partition is looked at.
        static let plansOfHotel = Statement<OfferedPlan, Int32>(
            "rht.plans_of_hotel",
            """
            SELECT $1, plans_global_id, plans_hotel_id, name, plan_type::TEXT FROM get_available_plans_for_hotel($1)
            """
        ) { row in try OfferedPlan(&row) }

        static let plans = Statement<OfferedPlan, [Int32]>(
            "rht.plans",
            """
            SELECT hotel.id, plan.plans_global_id, plan.plans_hotel_id, plan.name, plan.plan_type::TEXT,
                   plan.description, plan.color::TEXT
            FROM unnest($1) AS hotel (id), get_available_plans_for_hotel(hotel.id) AS plan
            ORDER BY hotel.id, plan.plans_hotel_id NULLS LAST, plan.plans_global_id
            """
        ) { row in
            var plan = try OfferedPlan(&row)
            plan.description = try row.next()
            plan.color = try row.next()
            return plan
        }

        /// With the rates of global plans, which have no hotel. What may hold an unreadable value is read as text, so
        /// that it costs a plan and not its hotel; dates beyond the calendar mean its ends, because a rate applies to
        /// what is between. Of the hotels' plans and the global plans named, or of all where none are.
        static let rates = Statement<PlanRate, [Int32], [Int32]?, [Int32]?>(
            "rht.plans_rates",
            """
            SELECT hotel_id, plans_global_id, plans_hotel_id, adjustment_type::TEXT, adjustment_value::TEXT,
                   condition_type::TEXT, condition_value::TEXT,
                   CASE WHEN date_start IS NOT NULL THEN
                       LEAST(GREATEST(date_start, DATE '0001-01-01'), DATE '9999-12-31') END,
                   LEAST(GREATEST(COALESCE(date_end, 'infinity'), DATE '0001-01-01'), DATE '9999-12-31'),
                   tax_type_id, tax_rate::TEXT, COALESCE(include_in_cancel_fee, FALSE)
            FROM plans_rates
            WHERE (hotel_id IS NULL OR hotel_id = ANY ($1))
              AND ($2 IS NULL OR plans_hotel_id = ANY ($2) OR plans_hotel_id IS NULL AND plans_global_id = ANY ($3))
            ORDER BY id
            """
        ) { row in
            PlanRate(
                hotel: try row.next(), globalPlan: try row.next(), hotelPlan: try row.next(),
                adjustment: try row.next(), value: try row.next(), condition: (try row.next(), try row.next()),
                nights: (try row.next(), try row.next()), tax: (try row.next(), try row.next()),
                countsForCancellation: try row.next())
        }

        /// Only `cancelled` decides: holds and blocks take rooms as well. A night beyond the calendar has no date.
        static let takenNights = Statement<ReservedNight, [Int32], Day>(
            "rht.reservation_details",
            """
            SELECT hotel_id, room_id, CASE WHEN date <= DATE '9999-12-31' THEN date END,
                   CASE WHEN room_id IS NULL THEN reservation_id END
            FROM reservation_details WHERE hotel_id = ANY ($1) AND date >= $2 AND cancelled IS NULL
            """
        ) { row in
            ReservedNight(
                hotel: try row.next(), room: try row.next(), night: try row.next(), reservation: try row.next())
        }

        /// Of one hotel, within a part of the calendar, and of some rooms where they are named.
        static let nightsOfRooms = Statement<TakenNight, Int32, Day, Day, [Int32]?>(
            "rht.nights_of_rooms",
            """
            SELECT room_id, date FROM reservation_details
            WHERE hotel_id = $1 AND date >= $2 AND date < $3 AND cancelled IS NULL
              AND ($4 IS NULL OR room_id = ANY ($4))
            """
        ) { row in TakenNight(room: try row.next(), night: try row.next()) }
    }
}

/// A row of `reservation_details` that is not cancelled.
struct ReservedNight: Sendable {
    let hotel: Int32
    let room: Int32?
    let night: Day?
    /// Of a night without a room alone.
    let reservation: BookingID?
}

extension OfferedPlan {
    fileprivate init(_ row: inout RowDecoder) throws {
        self.init(
            hotel: try row.next(), globalPlan: try row.next(), hotelPlan: try row.next(), name: try row.next(),
            type: try row.next(), description: nil, color: nil)
    }
}
