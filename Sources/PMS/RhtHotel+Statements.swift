internal import Availability
internal import Booking
internal import Postgres
internal import Stay

extension RhtHotel {
    /// What the adapter reads outside transactions.
    enum Statements {
        static let hotels = Statement<Hotel>(
            "rht.hotels",
            """
            SELECT id, name, formal_name, facility_type, open_date, total_rooms, postal_code, address, email,
                   phone_number, created_at AT TIME ZONE current_setting('TimeZone')
            FROM hotels ORDER BY sort_order, id
            """
        ) { row in
            Hotel(
                id: try row.next(), name: try row.next(), formalName: try row.next(), facilityType: try row.next(),
                openDate: try row.next(), totalRooms: try row.next(), postalCode: try row.next(),
                address: try row.next(), email: try row.next(), phoneNumber: try row.next(),
                createdAt: try row.next())
        }

        static let roomTypes = Statement<RoomType>(
            "rht.room_types",
            """
            SELECT id, hotel_id, name, description, created_at AT TIME ZONE current_setting('TimeZone')
            FROM room_types ORDER BY hotel_id, id
            """
        ) { row in
            RoomType(
                id: try row.next(), hotel: try row.next(), name: try row.next(), description: try row.next(),
                createdAt: try row.next())
        }

        static let sellableRooms = Statement<Room>(
            "rht.sellable_rooms",
            """
            SELECT id, hotel_id, room_type_id, capacity FROM rooms
            WHERE for_sale AND NOT is_staff_room ORDER BY hotel_id, id
            """
        ) { row in
            Room(id: try row.next(), hotel: try row.next(), type: try row.next(), capacity: try row.next())
        }

        static let plans = Statement<OfferedPlan>(
            "rht.plans",
            """
            SELECT hotels.id, plan.plans_global_id, plan.plans_hotel_id, plan.name, plan.plan_type
            FROM hotels, get_available_plans_for_hotel(hotels.id) AS plan
            """
        ) { row in
            OfferedPlan(
                hotel: try row.next(), globalPlan: try row.next(), hotelPlan: try row.next(), name: try row.next(),
                type: try row.next())
        }

        static let rates = Statement<PlanRate>(
            "rht.rates",
            """
            SELECT hotel_id, plans_global_id, plans_hotel_id, adjustment_type, adjustment_value, condition_type,
                   condition_value, date_start, date_end, tax_type_id, tax_rate
            FROM plans_rates ORDER BY id
            """
        ) { row in
            let (hotel, globalPlan, hotelPlan) = (
                try row.next(Int32?.self), try row.next(Int32?.self), try row.next(Int32?.self)
            )
            let adjustment = try row.next(String.self)
            let value = try row.next(FixedPoint.self)
            let condition = Rate.Condition(type: try row.next(), value: try row.next())
            // The column's constraint allows no other name.
            let rate = Rate(
                adjustment: Rate.Adjustment(rawValue: adjustment) ?? .flatFee, value: value, condition: condition,
                firstNight: try row.next(), lastNight: try row.next())
            return PlanRate(
                hotel: hotel, globalPlan: globalPlan, hotelPlan: hotelPlan, rate: rate, taxID: try row.next(),
                taxRate: try row.next())
        }

        /// Only `cancelled` decides: holds and blocks take rooms as well.
        static let takenNights = Statement<(hotel: Int32, night: TakenNight), [Int32], Day>(
            "rht.taken_nights",
            """
            SELECT hotel_id, room_id, date FROM reservation_details
            WHERE hotel_id = ANY ($1) AND date >= $2 AND cancelled IS NULL
            """
        ) { row in
            let hotel = try row.next(Int32.self)
            return (hotel, TakenNight(room: try row.next(), night: try row.next()))
        }
    }
}
