internal import JSONText

/// How much of an event a subscription gets.
public enum PayloadForm: String, Sendable, CaseIterable {
    /// The event as it was stored, with everything about its entity.
    case full
    /// What happened, when, and to what: the subscriber fetches the rest, if it may. Nothing about a guest leaves this way.
    case thin

    /// The content that is sent.
    ///
    /// - Parameter event: an event as it was stored: the JSON object `{"type","timestamp","data"}`.
    /// - Returns: `event` itself when full; otherwise an object with the same three members, and in `data` of the event's own
    ///   only the `id`, all whose names end with `_id` and hold a string or a whole number, and `version`.
    /// - Throws: `WebhookError` when it is to be thin and is no such object.
    public func content(of event: [UInt8]) throws(WebhookError) -> [UInt8] {
        switch self {
        case .full: event
        case .thin: try Self.thin(event)
        }
    }

    private static func thin(_ event: [UInt8]) throws(WebhookError) -> [UInt8] {
        let value: JSONValue
        do {
            value = try JSONValue(parsing: event)
        } catch {
            throw WebhookError(.payload, "an event is no JSON at byte \(error.offset)")
        }
        guard let type = value["type"]?.string, let timestamp = value["timestamp"]?.string,
            let members = value["data"]?.members
        else { throw WebhookError(.payload, "an event is an object of type, timestamp and data") }
        var json = JSONWriter(capacity: 256)
        json.object { json in
            json.member("type", type)
            json.member("timestamp", timestamp)
            json.object("data") { json in
                for member in members where isIdentifying(member.name) {
                    switch member.value {
                    case .string(let text): json.member(named: member.name, text)
                    case .integer(let number): json.member(named: member.name, Int(number))
                    case .null, .bool, .number, .array, .object: break
                    }
                }
            }
        }
        return json.bytes
    }

    /// Whether a member of `data` is kept in a thin payload, if its value is of a kind that names something.
    static func isIdentifying(_ name: String) -> Bool {
        name == "id" || name == "version" || name.hasSuffix("_id")
    }
}
