public import Booking
internal import JSONText

/// A request for events that have gone by to be delivered anew.
public struct ReplayRequest: Sendable {
    /// From when on.
    public let since: Instant
    /// Until when; nil for now.
    public let until: Instant?
    /// Which; nil for all that the endpoint is told of.
    public let events: [EventType]?

    /// Reads a body.
    ///
    /// - Throws: `InvalidRequest` with everything that is wrong.
    public init(json: [UInt8]) throws(InvalidRequest) {
        var fields = FieldReader(try JSONValue(body: json), at: "")
        let since = fields.instant("since", isRequired: true)
        until = fields.instant("until", isRequired: false)
        events = fields.events(isRequired: false)
        fields.compare(since, until)
        try fields.finish()
        // It was required.
        self.since = since ?? Instant(microseconds: 0)
    }
}

/// A request for dead letters to be tried again: those to which all applies that it says.
public struct DeadLetterSelection: Sendable {
    /// Dead letters that can be named at once.
    public static let idCounts = 1...200

    /// Of one endpoint.
    public let endpoint: EndpointID?
    /// These.
    public let ids: [TimeOrderedID]?
    /// Those that are dead for this reason.
    public let reason: DeadLetterReason?
    /// Made at that moment or later.
    public let since: Instant?
    /// Made before that moment.
    public let until: Instant?
    /// Those of such events.
    public let events: [EventType]?

    /// Reads a body.
    ///
    /// - Throws: `InvalidRequest` with everything that is wrong.
    public init(json: [UInt8]) throws(InvalidRequest) {
        var fields = FieldReader(try JSONValue(body: json), at: "")
        endpoint = fields.identifier("endpoint_id")
        ids = fields.identifiers("ids", count: Self.idCounts)
        reason = fields.choice("reason")
        since = fields.instant("since", isRequired: false)
        until = fields.instant("until", isRequired: false)
        events = fields.events(isRequired: false)
        fields.compare(since, until)
        try fields.finish()
    }
}

extension FieldReader {
    fileprivate mutating func instant(_ name: String, isRequired: Bool) -> Instant? {
        guard let value = value(name, isRequired: isRequired) else { return nil }
        if let instant = value.string.flatMap({ Instant($0) }) { return instant }
        fail(name, "An instant as RFC 3339 has it is expected, such as 2026-12-01T10:25:00Z")
        return nil
    }

    fileprivate mutating func compare(_ since: Instant?, _ until: Instant?) {
        if let since, let until, until <= since { fail("until", "The end must be after the beginning") }
    }

    fileprivate mutating func identifier<ID: LosslessStringConvertible>(_ name: String) -> ID? {
        guard let value = value(name, isRequired: false) else { return nil }
        if let id = value.string.flatMap({ ID($0) }) { return id }
        fail(name, "A UUID is expected")
        return nil
    }

    fileprivate mutating func identifiers<ID: LosslessStringConvertible>(
        _ name: String, count: ClosedRange<Int>
    ) -> [ID]? {
        guard let value = value(name, isRequired: false) else { return nil }
        guard case .array(let elements) = value, count.contains(elements.count) else {
            fail(name, "An array of \(count.lowerBound) to \(count.upperBound) ids is expected")
            return nil
        }
        var ids: [ID] = []
        for (position, element) in elements.enumerated() {
            if let id = element.string.flatMap({ ID($0) }) {
                ids.append(id)
            } else {
                fail(at: name, position, "A UUID is expected")
            }
        }
        return ids
    }
}
