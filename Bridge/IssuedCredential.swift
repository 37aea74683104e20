/// What is written down of credentials that were given to somebody, or taken from him; nothing that opens anything.
struct IssuedCredential: Sendable {
    let apiKey: Int32
    let client: String
    let token: String?
    let family: String?

    init(_ apiKey: Int32, _ client: String, token: String? = nil, family: String? = nil) {
        self.apiKey = apiKey
        self.client = client
        self.token = token
        self.family = family
    }

    /// As the gateway reads it: key, client, token and family with blanks between them; a hyphen for what is not there.
    var text: String { "\(apiKey) \(client) \(token ?? "-") \(family ?? "-")" }
}
