internal import Availability
internal import JSONText
internal import Stay

extension Obstacle {
    /// Writes it as clients see it: what it is, in words, and with its numbers.
    func write(to json: inout JSONWriter) {
        json.object { json in
            json.member("code", code)
            json.member("detail", detail)
            switch self {
            case .noRooms, .noRoomThroughout, .closedToArrival, .closedToDeparture: break
            case .capacity(let most): json.member("capacity", Int(most))
            case .soldOut(let nights), .stopSell(let nights):
                json.array("nights", nights) { json, night in json.element(night.description) }
            case .tooFewRooms(let available): json.member("available", Int(available))
            case .notCounted(let rooms): json.member("rooms", Int(rooms))
            case .minimumStay(let nights): json.member("minimum_nights", nights)
            case .maximumStay(let nights): json.member("maximum_nights", nights)
            }
        }
    }

    private var detail: String {
        switch self {
        case .noRooms: "The room type has no room that is sold"
        case .capacity: "None of its rooms takes so many guests"
        case .soldOut: "On these nights no room that takes the guests is left"
        case .noRoomThroughout: "Each night has a free room, but none is free on all of them"
        case .tooFewRooms: "Fewer rooms are left than are asked for"
        case .notCounted: "Some rooms are not sold because their nights cannot be read from the PMS"
        case .minimumStay: "Stays that arrive on this date must have more nights"
        case .maximumStay: "Stays that arrive on this date must have fewer nights"
        case .closedToArrival: "No stay may arrive on this date"
        case .closedToDeparture: "No stay may depart on this date"
        case .stopSell: "These nights are not sold"
        }
    }
}
