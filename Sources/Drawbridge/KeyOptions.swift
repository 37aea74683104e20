internal import Authentication
internal import Installation

/// What `drawbridge key` is asked for.
enum KeyOptions: Equatable {
    case create(APIKeys.Grant, days: Int)
    case rotate(Int32, overlap: Int, days: Int)
    case revoke(Int32)
    case revokeAll(client: String)
    case list

    static let usage = """
          key      makes, rotates and revokes API keys; gateways know within a second
            create --client NAME --scopes "SCOPE …" (--hotel ID | --every-hotel) [--days N (90)] [--description TEXT]
                   [--user ID of the PMS (the one in whose name the bridge writes)]
            rotate ID [--overlap-days N (7)] [--days N (90)]
            revoke ID | --client NAME
            list
        """

    init(_ arguments: inout [String]) throws(UsageError) {
        guard !arguments.isEmpty else { throw UsageError("key: create, rotate, revoke or list?") }
        switch arguments.removeFirst() {
        case "create": self = try Self.creation(&arguments)
        case "rotate": self = try Self.rotation(&arguments)
        case "revoke":
            if arguments.first == "--client" {
                self = .revokeAll(client: try Self.client(&arguments))
            } else {
                self = .revoke(try Self.id(&arguments))
            }
        case "list": self = .list
        case let other: throw UsageError("key: no such command: \(other)")
        }
    }

    private static func creation(_ arguments: inout [String]) throws(UsageError) -> KeyOptions {
        var client: String?
        var scopes: [Scope] = []
        // Every hotel only where that is said.
        var hotel: Int32??
        var days = APIKeys.standardLifetimeInDays
        var description: String?
        var user: Int32?
        options: while let name = arguments.first {
            switch name {
            case "--client": client = try Self.client(&arguments)
            case "--scopes": scopes = try Self.scopes(&arguments)
            case "--hotel":
                guard hotel != .some(nil) else { throw UsageError.bothHotels }
                hotel = .some(try takeHotel(&arguments, unless: hotel ?? nil))
            case "--every-hotel":
                arguments.removeFirst()
                guard hotel == nil || hotel == .some(nil) else { throw UsageError.bothHotels }
                hotel = .some(nil)
            case "--days": days = try takeCount(&arguments, 1...APIKeys.maximumLifetimeInDays)
            case "--description": description = try takeValue(&arguments)
            case "--user": user = Int32(try takeCount(&arguments, 1...Int(Int32.max)))
            default: break options
            }
        }
        guard let client, !scopes.isEmpty, let hotel else {
            throw UsageError("key create needs --client, --scopes, and --hotel or --every-hotel")
        }
        let grant = APIKeys.Grant(
            client: client, scopes: scopes, hotelID: hotel, description: description, userID: user)
        return .create(grant, days: days)
    }

    private static func rotation(_ arguments: inout [String]) throws(UsageError) -> KeyOptions {
        let id = try id(&arguments)
        var (overlap, days) = (APIKeys.standardOverlapInDays, APIKeys.standardLifetimeInDays)
        options: while let name = arguments.first {
            switch name {
            case "--overlap-days": overlap = try takeCount(&arguments, 0...APIKeys.maximumLifetimeInDays)
            case "--days": days = try takeCount(&arguments, 1...APIKeys.maximumLifetimeInDays)
            default: break options
            }
        }
        return .rotate(id, overlap: overlap, days: days)
    }

    private static func id(_ arguments: inout [String]) throws(UsageError) -> Int32 {
        guard let text = arguments.first, let id = Int32(text), id > 0 else {
            throw UsageError("which key? Its number stands in: drawbridge key list")
        }
        arguments.removeFirst()
        return id
    }

    private static func client(_ arguments: inout [String]) throws(UsageError) -> String {
        let text = try takeValue(&arguments)
        guard Identity.isClientName(text) else {
            throw UsageError("--client takes 1 to 64 letters, digits, dots, hyphens, underscores")
        }
        return text
    }

    private static func scopes(_ arguments: inout [String]) throws(UsageError) -> [Scope] {
        var scopes: [Scope] = []
        for word in try takeValue(&arguments).split(whereSeparator: { $0 == " " || $0 == "," }) {
            guard let scope = Scope(rawValue: String(word)) else {
                let known = Scope.allCases.map(\.rawValue).joined(separator: " ")
                throw UsageError("no such scope: \(word); there are: \(known)")
            }
            scopes.append(scope)
        }
        return scopes
    }
}
