package import Booking

/// Names an endpoint of webhooks: a UUID (RFC 9562).
public struct EndpointID: Hashable, Sendable, LosslessStringConvertible {
    /// The UUID, for those who store it.
    package let uuid: BookingID

    package init(_ uuid: BookingID) { self.uuid = uuid }

    /// A new one, version 4.
    public static func random() -> EndpointID { EndpointID(.random()) }

    /// Reads the 36 characters of the usual form, in either case; nil for anything else.
    public init?(_ text: String) {
        guard let uuid = BookingID(text) else { return nil }
        self.init(uuid)
    }

    /// The id in lower case, as PostgreSQL writes it.
    public var description: String { uuid.description }
}
