internal import Cryptography
internal import JSONText

/// What an endpoint is asked, so that nobody has events sent to where he has no say: it shows that it takes webhooks of ours by
/// saying back what it is sent.
public struct OwnershipChallenge: Sendable {
    /// The `type` of what is sent.
    public static let type = "endpoint.challenge"

    /// What is to be said back: 32 random bytes in base64url.
    public let text: String

    /// One that nobody can know who has not been sent it.
    public init() { text = Base64.url.encode(SecureRandom.bytes(32)) }

    /// The content that is sent.
    ///
    /// - Parameter timestamp: as events have it.
    public func content(for endpoint: EndpointID, timestamp: String) -> [UInt8] {
        var json = JSONWriter()
        json.object { json in
            json.member("type", Self.type)
            json.member("timestamp", timestamp)
            json.object("data") { json in
                json.member("endpoint_id", endpoint.description)
                json.member("challenge", text)
            }
        }
        return json.bytes
    }

    /// Whether the content of an answer says it back: the text and nothing else, or an object with the member `challenge`.
    public func isMet(by content: [UInt8]) -> Bool {
        if let object = try? JSONValue(parsing: content), object["challenge"]?.string == text { return true }
        let blanks: Set<UInt8> = [0x20, 0x09, 0x0A, 0x0D]
        let trimmed = content.drop(while: blanks.contains).reversed().drop(while: blanks.contains).reversed()
        return trimmed.elementsEqual(text.utf8)
    }
}
