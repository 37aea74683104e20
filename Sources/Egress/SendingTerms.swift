/// How requests are sent to receivers, and what of their answers is read.
public struct SendingTerms: Sendable, Hashable {
    /// From the beginning to a connection that stands: waiting for a free one, name, connection, TLS.
    public var connectDeadline = Duration.seconds(5)
    /// From the beginning to the answer's end.
    public var totalDeadline = Duration.seconds(15)
    /// How much of an answer's content is read, in bytes.
    public var maximumAnswer = 16 << 10
    /// Whether HTTP/2 is spoken to those who do.
    public var usesHTTP2 = true
    /// Connections to one host at once.
    public var connectionsPerHost = 8
    /// Connections at once in all, those that are idle included.
    public var connections = 256
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
