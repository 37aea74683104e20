/// How requests are sent to receivers, and what of their answers is read.
public struct SendingTerms: Sendable, Hashable {
    /// From the beginning to a connection that stands: name, connection, TLS, the proxy's consent. A request for which there
    /// is one already has connected when it begins. What it waited for its turn does not count.
    public var connectDeadline = Duration.seconds(5)
    /// From the beginning to the answer's end. As long again a request may have waited for its turn; and as long what was sent
    /// may stay unconfirmed by the other side's kernel before its connection is given up.
    public var totalDeadline = Duration.seconds(15)
    /// From the end of an answer's head, which says all that matters, to the end of its content.
    public var contentDeadline = Duration.seconds(1)
    /// How much of an answer's content is read, in bytes.
    public var maximumAnswer = 16 << 10
    /// Whether HTTP/2 is spoken to those who do.
    public var usesHTTP2 = true
    /// Connections to one host at once, and so requests, where each needs a connection for itself.
    public var connectionsPerHost = 64
    /// Requests on their way at once to one host that speaks HTTP/2.
    public var requestsPerHost = 100
    /// Requests on their way at once in all, and connections, those that are idle included. No host has more of them than are
    /// left free for others. For requests that have to be sent alone (`Courier`) there are `connectionsPerHost` more.
    public var connections = 2048
    /// Requests that wait for their turn at once in all.
    public var waiting = 10_000
    /// Whom all is sent through; nil for nobody.
    public var proxy: ProxyAddress?
    /// A PEM file of the authorities believed, in place of the system's.
    public var authoritiesFile: String?

    /// The defaults.
    public init() {}
}

/// Where an HTTP proxy is.
///
/// With one, the only connections are those to it: it resolves names, so where they lead is its to judge, and only
/// addresses that stand in a URL in numbers are judged here.
public struct ProxyAddress: Sendable, Hashable {
    let web: WebAddress

    /// Reads `http://10.0.0.7:3128`; nil for another scheme, or anything behind the port.
    public init?(_ text: String) {
        guard let web = try? WebAddress(text), !web.isSecure, web.target == "/" else { return nil }
        self.web = web
    }

    /// As it was written.
    public var url: String { "http://\(web.host.text):\(web.port)" }
}
