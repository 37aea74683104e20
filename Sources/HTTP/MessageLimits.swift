/// The bounds a parser keeps; every buffer a peer can make grow has one here. All sizes are in bytes.
public struct MessageLimits: Sendable, Equatable {
    /// The first line of a message without its line end; a longer request line is answered 414.
    public var startLine = 8 * 1024
    /// Everything from after the first line to the end of the empty line that closes the head; more is answered 431.
    public var fieldSection = 32 * 1024
    /// One field line without its line end, name, colon and value together; more is answered 431.
    public var fieldLine = 16 * 1024
    /// How many field lines a head may have, and how many a trailer section; more is answered 431.
    public var fieldCount = 100
    /// How many options all `Connection` fields together may name; more is answered 400.
    public var connectionOptions = 32
    /// A chunk-size line with its extensions, without its line end; more is answered 400.
    public var chunkLine = 256
    /// The extensions of all chunks of one body together; more is answered 400.
    public var chunkExtensions = 8 * 1024
    /// The trailer section with its line ends and the empty line that closes it; more is answered 431.
    public var trailerSection = 4 * 1024
    /// The content of one message, whether announced or in chunks; more is answered 413. Nil is no bound.
    public var body: UInt64?
    /// How many 1xx responses may precede a final one.
    public var interimResponses = 16

    /// The defaults, with a bound on the body where one is given.
    public init(body: UInt64? = nil) {
        self.body = body
    }
}
