internal import HTTP
internal import Loop
internal import Policy
internal import Schema
internal import Server

/// Finds the hotel that a request is about, where its route says it stands.
@OnLoop
enum HotelReference {
    /// - Returns: nil where the route names no hotel; the bridge then checks what it finds.
    /// - Throws: `Refusal` when the hotel is missing or no hotel id.
    static func hotelID(in routed: borrowing RoutedRequest, content: Content) throws -> Int32? {
        switch routed.route.terms.hotel {
        case .none: return nil
        case .path(let parameter):
            let path = routed.request.head.target.pathBytes
            guard let text = routed.match.value(of: parameter, in: path.span), let id = Int32(text) else {
                throw Refusal.unknownHotel
            }
            return id
        case .query(let parameter):
            let values = values(of: parameter, in: routed.request.head.target.query ?? "")
            guard values.count == 1, let id = Int32(values[0]) else {
                throw Refusal.malformedRequest([
                    Violation(pointer: "/query/\(parameter)", detail: "Exactly one hotel id is expected")
                ])
            }
            return id
        case .body(let pointer):
            return try hotelID(at: pointer, in: content)
        }
    }

    private static func values(of parameter: String, in query: String) -> [Substring] {
        query.split(separator: "&").compactMap { pair in
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            return parts.count == 2 && parts[0] == parameter ? parts[1] : nil
        }
    }

    /// An integer or, as PMS clients send it, a numeric string.
    private static func hotelID(at pointer: String, in content: Content) throws -> Int32 {
        guard let document = content.document else { throw Refusal.malformedJSON(nil) }
        guard let found = document.identifier(at: pointer) else {
            throw Refusal.invalidContent([Violation(pointer: pointer, detail: "This member is required")])
        }
        guard let found, let id = Int32(exactly: found) else {
            throw Refusal.invalidContent([Violation(pointer: pointer, detail: "A hotel id is an integer")])
        }
        return id
    }
}
