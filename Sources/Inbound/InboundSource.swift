public import Authentication
internal import Cryptography
public import JSONText

/// Somebody whose webhooks we take: what its messages are recognised by, and what is done about one. Pure; whether a message
/// is the source's has been proven before.
public struct InboundSource: Sendable, Equatable {
    /// What a message is recognised by when it comes again.
    public enum Identification: Sendable, Hashable {
        /// The sender's own name for it, in a field with this name in lower case.
        case field(String)
        /// The same, in a member of the content.
        case member(JSONPointer)
        /// The content: the same again is the same message.
        case content
        /// Nothing: each counts, because the sender says the same of different events.
        case nothing
    }

    /// What is read anew from the PMS.
    public enum Refresh: String, Sendable, CaseIterable {
        /// What is free.
        case availability
        /// The hotel and what it sells.
        case hotel
        /// Both.
        case everything
    }

    /// Where a message says which hotel it is about.
    public struct HotelMember: Sendable, Hashable {
        /// The member of the content.
        public let place: JSONPointer
        /// What the sender calls our hotels; empty where it uses our ids.
        public let names: [String: Int32]

        /// Describes it.
        public init(place: JSONPointer, names: [String: Int32] = [:]) {
            self.place = place
            self.names = names
        }
    }

    /// What the policy and the path call it.
    public let name: String
    /// The hotels that it may speak for.
    public let hotelIDs: HotelAccess
    /// What its messages are recognised by.
    public let identification: Identification
    /// Where they name their hotel; nil where there is only one.
    public let hotelMember: HotelMember?
    /// What they let be done.
    public let refresh: Refresh
    /// The fields that are kept with a message, in lower case, beside `Content-Type`.
    public let keptFields: [String]

    /// Describes a source.
    public init(
        name: String, hotelIDs: HotelAccess, identification: Identification = .content,
        hotelMember: HotelMember? = nil, refresh: Refresh, keptFields: [String] = []
    ) {
        self.name = name
        self.hotelIDs = hotelIDs
        self.identification = identification
        self.hotelMember = hotelMember
        self.refresh = refresh
        self.keptFields = keptFields
    }

    /// Whether a text can name a source: 1 to 64 lower-case letters, digits and hyphens, as it stands in a path.
    public static func isName(_ text: String) -> Bool {
        (1...64).contains(text.utf8.count)
            && text.utf8.allSatisfy { 0x61...0x7A ~= $0 || 0x30...0x39 ~= $0 || $0 == 0x2D }
    }

    /// What a message is recognised by; nil where the source's messages are not. One that lacks the sender's own name for it is
    /// recognised by its content.
    ///
    /// - Parameter field: gives the values of the fields with a name in lower case.
    /// - Returns: at most 259 printable ASCII characters; those that stand for ids never equal those for contents.
    public func key(of content: [UInt8], _ field: (String) -> [String]) -> String? {
        var id: String?
        switch identification {
        case .nothing: return nil
        case .content: break
        case .field(let name):
            let values = field(name)
            if values.count == 1 { id = values[0] }
        case .member(let place):
            let value = (try? JSONValue(parsing: content)).flatMap { place.value(in: $0) }
            id = value?.string ?? value?.integer.map { String($0) }
        }
        guard let id, !id.isEmpty else { return "sha256:" + Self.digest(content.span) }
        // An id is the sender's to choose; one that is long or cannot be shown stands as its hash.
        guard id.utf8.count <= 255, id.utf8.allSatisfy({ 0x20...0x7E ~= $0 }) else {
            return "id-sha256:" + Self.digest(id.utf8.span)
        }
        return "id:" + id
    }

    private static func digest(_ bytes: Span<UInt8>) -> String { Hexadecimal.encode(SHA256.hash(bytes).bytes) }

    /// What is to be done about a message.
    public func order(by content: [UInt8]) throws(InboundRejection) -> RefreshOrder {
        guard let hotelMember else {
            guard case .some(let own) = hotelIDs, own.count == 1 else { throw .hotelMissing }
            return RefreshOrder(hotel: own[0], refresh: refresh)
        }
        guard let document = try? JSONValue(parsing: content) else { throw .unreadable }
        let value = hotelMember.place.value(in: document)
        guard let name = value?.string ?? value?.integer.map({ String($0) }) else { throw .hotelMissing }
        let hotel =
            if hotelMember.names.isEmpty { Self.hotelID(name) } else { hotelMember.names[name] }
        guard let hotel else { throw .hotelUnknown }
        guard hotelIDs.includes(hotel) else { throw .hotelForeign }
        return RefreshOrder(hotel: hotel, refresh: refresh)
    }

    private static func hotelID(_ text: String) -> Int32? {
        guard text.utf8.allSatisfy({ 0x30...0x39 ~= $0 }), let id = Int32(text), id > 0 else { return nil }
        return id
    }
}

/// What is to be read anew, and of which hotel.
public struct RefreshOrder: Sendable, Hashable {
    public let hotel: Int32
    public let refresh: InboundSource.Refresh

    public init(hotel: Int32, refresh: InboundSource.Refresh) {
        self.hotel = hotel
        self.refresh = refresh
    }
}

/// Why nothing is done about a message, however often it were tried.
public enum InboundRejection: String, Error, Sendable, CaseIterable {
    /// The content is not what we read as JSON.
    case unreadable
    /// The content names no hotel where the policy says that it does.
    case hotelMissing = "hotel_missing"
    /// It names none that we know.
    case hotelUnknown = "hotel_unknown"
    /// It names a hotel for which the source may not speak.
    case hotelForeign = "hotel_foreign"
    /// The policy has no such source any more.
    case sourceUnknown = "source_unknown"

    /// In words, for whoever looks what became of a message.
    public var words: String {
        switch self {
        case .unreadable: "the content cannot be read as JSON"
        case .hotelMissing: "the content names no hotel where inbound.yaml says that it does"
        case .hotelUnknown: "the content names a hotel that there is not"
        case .hotelForeign: "the content names a hotel for which the source may not speak"
        case .sourceUnknown: "inbound.yaml has no such source any more"
        }
    }
}
