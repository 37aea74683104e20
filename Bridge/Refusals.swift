internal import Availability
internal import Booking
internal import HTTP
internal import JSONText
internal import Server
internal import Stay

/// Answers that are refusals and yet outcomes: they are kept for the same Idempotency-Key.
enum Refusals {
    /// Names the nights on which rooms are lacking, by room type.
    static func noAvailability(_ shortages: [Shortage]) -> Problem {
        var problem = Problem(
            .conflict, "no-availability", "There are not enough rooms", detail: "Rooms are lacking on some nights")
        problem.extend = { json in
            json.array("shortages", shortages) { json, shortage in
                json.object { json in
                    json.member("room_type_id", Int(shortage.type))
                    json.array("nights", shortage.nights) { json, night in json.element(night.description) }
                }
            }
        }
        return problem
    }

    /// Names the rules that keep rooms from being sold for the stay, by room type.
    static func restricted(_ types: [(type: Int32, obstacles: [Obstacle])]) -> Problem {
        let codes = types.flatMap { $0.obstacles.map(\.code) }
        var problem = Problem(
            .conflict, "restricted", "The hotel does not sell this stay",
            detail: "A restriction of the hotel is in the way: "
                + codes.enumerated().filter { !codes[..<$0.offset].contains($0.element) }.map(\.element)
                .joined(separator: ", "))
        problem.extend = { json in
            json.array("restrictions", types) { json, type in
                json.object { json in
                    json.member("room_type_id", Int(type.type))
                    json.array("reasons", type.obstacles) { json, obstacle in obstacle.write(to: &json) }
                }
            }
        }
        return problem
    }

    /// Gives the current quote.
    static func priceChanged(_ total: Money, _ quotes: [RoomQuote]) -> Problem {
        var problem = Problem(
            .conflict, "price-changed", "The price has changed", detail: "The total is not the expected one")
        problem.extend = { json in
            json.object("quote") { json in
                json.object("total") { json in
                    json.member("amount", Int(total.minorUnits))
                    json.member("currency", total.currency.code)
                }
                json.array("rooms", quotes) { json, quote in write(quote, to: &json) }
            }
        }
        return problem
    }

    private static func write(_ quote: RoomQuote, to json: inout JSONWriter) {
        json.object { json in
            json.array("nights", quote.nights) { json, night in
                json.object { json in
                    json.member("date", night.night.description)
                    json.member("price", Int(night.price.minorUnits))
                }
            }
        }
    }
}
