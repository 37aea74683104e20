public import Authentication
public import HTTP
public import Schema

/// One operation of `openapi.yaml`: what is let through, on which conditions.
///
/// A reference, because the table hands the same route to every request that matches it.
public final class Route: Sendable {
    /// What the operation is called in the description, in logs and in metrics.
    public let operationID: String
    /// The path template as described, such as `/api/booking-engine/hotels/{hotel_id}`.
    public let template: String
    /// The method it is described for.
    public let method: Method
    /// The template's parameters in the order of the path; at most ``maximumPathParameters``.
    public let pathParameters: [PathParameter]
    /// What the gateway asks of a request and does with it: the description's `x-drawbridge`.
    public let terms: Terms
    /// What a request must look like.
    public let request: RequestDescription

    /// The parameter of a path that names the source of a webhook to us.
    public static let sourceParameter = "source"

    /// The most parameters one template may have.
    public static let maximumPathParameters = 4

    init(
        operationID: String, template: String, method: Method, pathParameters: [PathParameter], terms: Terms,
        request: RequestDescription = RequestDescription()
    ) {
        self.operationID = operationID
        self.template = template
        self.method = method
        self.pathParameters = pathParameters
        self.terms = terms
        self.request = request
    }

    /// What a request must look like: what is not described here is refused.
    public struct RequestDescription: Sendable {
        /// The parameters of the path, in the template's order.
        public internal(set) var path: [Parameter] = []
        /// The parameters of the query.
        public internal(set) var query = QueryParameters([])
        /// The fields that are described; others are no business of the description's.
        public internal(set) var fields: [Parameter] = []
        /// The schema of JSON content; nil where none is described.
        public internal(set) var content: Schema?
        /// Whether there must be content.
        public internal(set) var isContentRequired = false
    }

    /// A variable segment of a path template.
    public struct PathParameter: Sendable, Equatable {
        /// Its name between the braces.
        public let name: String
        /// What it must look like for the path to match.
        public let type: PathParameterType
    }

    /// The conditions under which a request is let through.
    public struct Terms: Sendable, Equatable {
        /// The ways in that the route accepts.
        public var authentication: [Identity.Method]
        /// What the identity must be allowed to do, all of it.
        public var scopes: Scopes
        /// Where the request says which hotel it is about.
        public var hotel: HotelLocation
        /// The largest body; zero for operations described without one.
        public var bodyLimit: ByteCount
        /// Whether the body is described as JSON; then no other content is let through.
        public var takesJSON: Bool
        /// How long the bridge may take; `nil` leaves it to `gateway.yaml`.
        public var timeout: Duration?
        /// Whether requests go to the bridge; otherwise they are answered 501, and the bridge need not know the
        /// operation.
        public var isForwarded: Bool
        /// How sure the request's record must be before it is answered; `nil` leaves it to what the request does.
        public var audit: AuditDurability?
        /// How the firewall inspects it, where that differs from `firewall.yaml`.
        public var inspection: InspectionPolicy.Exception?
        /// The classes of `rate-limits.yaml` that count it, besides those that count everything.
        public var rateClasses: [String] = []
        /// Whether the bridge gets the client's `Authorization`, to check it once more by itself.
        public var passesCredentials = false
    }

    /// How sure a record in the ledger is.
    public enum AuditDurability: String, Sendable, CaseIterable {
        /// It survives the death of the ledger's process.
        case written
        /// It survives the death of the machine.
        case synced
    }

    /// Where a request names its hotel, which must be one of the identity's.
    public enum HotelLocation: Sendable, Equatable {
        /// In a path parameter.
        case path(parameter: String)
        /// In a query parameter.
        case query(parameter: String)
        /// In the JSON body, at a JSON pointer (RFC 6901).
        case body(pointer: String)
        /// Nowhere: the bridge checks the hotels of whatever it finds against the identity.
        case none
    }
}

/// The forms a path segment can be asked to have. None of them contains a percent sign.
public enum PathParameterType: Sendable, Equatable {
    /// 1 to 10 decimal digits.
    case integer
    /// 36 characters as in RFC 9562 §4, in either case.
    case uuid
    /// Unreserved characters (RFC 3986 §2.3), but not a dot segment.
    case text

    /// Whether a segment has the form.
    func matches(_ segment: Span<UInt8>) -> Bool {
        switch self {
        case .integer: (1...10).contains(segment.count) && segment.allSatisfy { $0.isDigit }
        case .uuid: segment.count == 36 && Self.isUUID(segment)
        case .text: !segment.isEmpty && segment.allSatisfy { $0.isUnreserved } && !Self.isDotSegment(segment)
        }
    }

    private static func isUUID(_ segment: Span<UInt8>) -> Bool {
        for index in segment.indices {
            let isHyphen = index == 8 || index == 13 || index == 18 || index == 23
            guard isHyphen ? segment[index] == UInt8(ascii: "-") : segment[index].isHexadecimalDigit else {
                return false
            }
        }
        return true
    }

    private static func isDotSegment(_ segment: Span<UInt8>) -> Bool {
        segment.count <= 2 && segment.allSatisfy { $0 == UInt8(ascii: ".") }
    }
}

extension Span<UInt8> {
    func allSatisfy(_ predicate: (UInt8) -> Bool) -> Bool {
        for index in indices where !predicate(self[index]) { return false }
        return true
    }
}

extension UInt8 {
    var isDigit: Bool { (0x30...0x39).contains(self) }
    var isHexadecimalDigit: Bool { isDigit || (0x41...0x46).contains(self) || (0x61...0x66).contains(self) }
    /// RFC 3986 §2.3.
    var isUnreserved: Bool {
        isDigit || (0x41...0x5A).contains(self) || (0x61...0x7A).contains(self) || self == UInt8(ascii: "-")
            || self == UInt8(ascii: ".") || self == UInt8(ascii: "_") || self == UInt8(ascii: "~")
    }
}
