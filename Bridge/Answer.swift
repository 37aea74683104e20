internal import Catalogue
internal import HTTP
internal import Loop
internal import Server

/// What a resource answers.
struct Answer {
    var status: Status = .ok
    var fields = Fields()
    var content: [UInt8]

    /// Whether its `ETag` names exactly this content, so that a client that has it need not get it again.
    var isValidated = false

    /// A JSON answer.
    static func json(_ content: [UInt8], status: Status = .ok) -> Answer {
        var fields = Fields()
        fields.append(.contentType, "application/json")
        return Answer(status: status, fields: fields, content: content)
    }

    /// Tells the gateway, which takes it out again, the hotel that a request was found to be about and did not name: it
    /// belongs into the ledger.
    mutating func concerns(hotel: Int32) { fields.append(.drawbridgeHotel, String(hotel)) }

    /// How it came into memory.
    enum Origin: String {
        /// It was there when the request came.
        case known = "hit"
        /// It was there, written down before the process began, and not read since.
        case restored = "hit; detail=restored"
        /// It was there and too old, so it was read from the PMS for this request.
        case refreshed = "fwd=stale; stored"
    }

    /// A JSON answer from memory.
    ///
    /// - Parameters:
    ///   - age: seconds since it was read from the PMS.
    ///   - timeToLive: seconds it counts as fresh; nil where only a trigger changes it.
    static func cached(_ document: Document, age: Int, timeToLive: Int?, how origin: Origin = .known) -> Answer {
        var answer = json(document.content)
        answer.fields.append(.etag, document.tag)
        answer.isValidated = true
        answer.fields.append(.age, String(age))
        answer.fields.append(
            .cacheStatus,
            timeToLive.map { "Drawbridge; \(origin.rawValue); ttl=\($0 - age)" } ?? "Drawbridge; \(origin.rawValue)")
        answer.fields.append(.cacheControl, "private, no-cache")
        return answer
    }

    /// Sends it, or 304 where the client has it already (RFC 9110 §13.1.2).
    @OnLoop
    func send(to request: Request, _ writer: consuming ResponseWriter) {
        if isValidated, let tag = fields[.etag], let condition = request.head.fields[.ifNoneMatch],
            request.head.method.isSafe, Self.matches(condition, tag)
        {
            var fields = fields
            fields.remove(.contentType)
            writer.send(.notModified, fields)
        } else {
            writer.send(status, fields, content: content)
        }
    }

    private static func matches(_ condition: String, _ tag: String) -> Bool {
        condition.split(separator: ",").contains { part in
            var part = part.drop { $0 == " " || $0 == "\t" }
            while part.last == " " || part.last == "\t" { part.removeLast() }
            return part == "*" || part == tag || part == "W/\(tag)"
        }
    }
}
