internal import FoundationEssentials
internal import HTTP
internal import Policy
internal import Server

/// Finds the hotel that a request is about, where its route says it stands.
enum HotelReference {
    /// - Returns: nil where the route names no hotel; the bridge then checks what it finds.
    /// - Throws: `Refusal` when the hotel is missing or no hotel id.
    static func hotelID(in routed: RoutedRequest, content: [UInt8]) throws -> Int32? {
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
                throw Refusal.invalidField(pointer: parameter, "exactly one hotel id is needed in the query")
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

    private static func hotelID(at pointer: String, in content: [UInt8]) throws -> Int32 {
        let decoder = JSONDecoder()
        decoder.userInfo[Member.pointerKey] = pointer.split(separator: "/").map(String.init)
        do {
            return try decoder.decode(Member.self, from: Data(content)).hotelID
        } catch DecodingError.dataCorrupted(let context) where context.codingPath.isEmpty {
            throw Refusal.malformedJSON
        } catch {
            throw Refusal.invalidField(pointer: pointer, "a hotel id is needed here")
        }
    }

    /// The value at a JSON pointer, which may be an integer or, as PMS clients send it, a numeric string.
    private struct Member: Decodable {
        static let pointerKey = CodingUserInfoKey(rawValue: "pointer")!

        let hotelID: Int32

        private struct Key: CodingKey {
            let stringValue: String
            var intValue: Int? { nil }

            init(stringValue: String) { self.stringValue = stringValue }
            init?(intValue: Int) { nil }
        }

        init(from decoder: any Decoder) throws {
            let keys = (decoder.userInfo[Self.pointerKey] as? [String] ?? []).map(Key.init)
            guard let last = keys.last else { throw Refusal.malformedJSON }
            var container = try decoder.container(keyedBy: Key.self)
            for key in keys.dropLast() { container = try container.nestedContainer(keyedBy: Key.self, forKey: key) }
            if let number = try? container.decode(Int32.self, forKey: last) {
                hotelID = number
            } else {
                let text = try container.decode(String.self, forKey: last)
                guard let number = Int32(text) else { throw Refusal.malformedJSON }
                hotelID = number
            }
        }
    }
}
