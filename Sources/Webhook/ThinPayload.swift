internal import JSONText

/// What a subscription gets of an event that asks for thin ones: what happened, when, and to what. The subscriber fetches the
/// rest, if it may. A full one is the event as it was stored.
public enum ThinPayload {
    /// The content that is sent.
    ///
    /// - Parameters:
    ///   - event: the event as it was stored: the JSON object `{"type","timestamp","data"}`.
    ///   - members: the names of the members of `data` that say what it is about, such as ids, `hotel_id` and `version`.
    /// - Returns: an object with the same three members, and in `data` those of the event's own that are named, as they are
    ///   and in their order. Whatever else `data` holds, now or in time to come, stays behind.
    /// - Throws: `WebhookError` when the event is no such object.
    public static func content(of event: [UInt8], keeping members: [String]) throws(WebhookError) -> [UInt8] {
        let value: JSONValue
        do {
            value = try JSONValue(parsing: event)
        } catch {
            throw WebhookError(.payload, "an event is no JSON at byte \(error.offset)")
        }
        guard let type = value["type"]?.string, let timestamp = value["timestamp"]?.string,
            let data = value["data"]?.members
        else { throw WebhookError(.payload, "an event is an object of type, timestamp and data") }
        var json = JSONWriter(capacity: 256)
        json.object { json in
            json.member("type", type)
            json.member("timestamp", timestamp)
            json.object("data") { json in
                for member in data where members.contains(member.name) { json.member(member) }
            }
        }
        return json.bytes
    }
}
