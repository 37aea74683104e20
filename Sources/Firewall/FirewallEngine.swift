public import HTTP

/// Judges requests by a set of rules.
///
/// A verdict is a function of the request, the settings and the rules alone: no clock, no memory of other requests. So
/// two engines can be compared on the same requests, and a verdict may be remembered.
public protocol FirewallEngine: Sendable {
    /// Whether a rule looks at the client's address, at the time, or at something else that is no part of the request.
    /// Then no verdict may be remembered, and one inspection may run at a time.
    var dependsOnCircumstances: Bool { get }

    /// Judges one request; may be called on any thread, and on several at once unless `dependsOnCircumstances`.
    ///
    /// - Parameters:
    ///   - settings: its mode is not looked at; `Firewall` does that.
    ///   - bound: processor time it may take, or a little more; an inspection that would take longer ends incomplete.
    /// - Throws: `FirewallError` `failed`; nothing is known of the request then, and it must be refused.
    func inspect(
        _ request: FirewallRequest, _ settings: FirewallSettings, within bound: Duration
    ) throws(FirewallError) -> Finding
}

/// A request as rules see it.
public struct FirewallRequest: Sendable {
    /// Method, target, version and fields, as sent; an absolute target counts as its origin form.
    public var head: RequestHead
    /// Where in the path ids stand, by which nothing else can be said. Rules see zeros in place of their hexadecimal digits:
    /// so a booking is read and changed as others were before, as far as rules are concerned. An empty range is none.
    public var ids: [4 of Range<Int>]
    /// All of the content that anything can be said in, its transfer coding taken off.
    public var content: [UInt8]
    /// The client's address, without port.
    public var clientAddress: String
    /// The client's port; zero where it is not known.
    public var clientPort: UInt16

    /// Whether its content costs as little as none: described content in which nothing is free is `{}`.
    var hasLittleContent: Bool { content.count <= 16 }

    public init(
        head: RequestHead, ids: [4 of Range<Int>], content: [UInt8], clientAddress: String, clientPort: UInt16 = 0
    ) {
        self.head = head
        self.ids = ids
        self.content = content
        self.clientAddress = clientAddress
        self.clientPort = clientPort
    }
}

/// What the rules say of a request.
public struct Finding: Sendable, Equatable {
    /// With which status the request should be refused: 403 for an attack, 415 for content of a type that the rules do
    /// not read. Nil lets it through.
    public var refusal: Status?
    /// Whether every rule was tried to its end. Where that would have cost too much, the request is to be refused.
    public var isComplete: Bool
    /// The sum of the scores of the rules that matched.
    public var inboundScore: Int
    /// The rules that matched, in their order; so many at most that a record of them stays small.
    public var matches: [RuleMatch]

    public init(refusal: Status? = nil, isComplete: Bool = true, inboundScore: Int = 0, matches: [RuleMatch] = []) {
        self.refusal = refusal
        self.isComplete = isComplete
        self.inboundScore = inboundScore
        self.matches = matches
    }
}

/// A rule that matched, and where.
public struct RuleMatch: Sendable, Hashable {
    /// The rule's number, such as 942100.
    public let rule: Int
    /// The variable it matched in, such as `ARGS:json.guest.name` or `REQUEST_HEADERS:User-Agent`; never its value.
    /// What comes after the colon was chosen by the client, so it is cut short and has no control characters.
    public let variable: String
    /// What the match added to the request's score; zero for a rule that does not count.
    public var score: Int

    public init(rule: Int, variable: String, score: Int) {
        self.rule = rule
        self.variable = variable
        self.score = score
    }
}
