/// How the ledger is kept, and how long a request waits for it: `ledger` in `gateway.yaml`.
public struct LedgerPolicy: Sendable, Equatable {
    /// How long a request waits for its record to be acknowledged before it is answered 503.
    public var deadline = Duration.seconds(2)
    /// A segment of that size is closed and the next begun.
    public var segmentSize = ByteCount.mebibytes(128)
    /// A segment of that age is closed and the next begun.
    public var segmentAge = Duration.seconds(24 * 3600)
    /// A checkpoint is signed after so many records …
    public var checkpointRecords = 10_000
    /// … or after that time, whichever comes first.
    public var checkpointInterval = Duration.seconds(10)
    /// Closed segments are removed when they are older; `nil` keeps them for ever.
    public var retention: Duration?
    /// Closed segments are removed, oldest first, while all together are larger; `nil` sets no bound.
    public var retainedSize: ByteCount?
    /// A file to which every checkpoint is appended, best on another machine's disk; absolute.
    public var witnessFile: String?
    /// Where the newest checkpoint is POSTed to.
    public var witnessURL: WitnessURL?

    /// The defaults.
    public init() {}

    /// The address of a witness that takes checkpoints by HTTP on this machine.
    public struct WitnessURL: Sendable, Equatable {
        /// A loopback address and a port.
        public var address: SocketAddress
        /// Percent-encoded, with the query.
        public var path: String

        /// Reads `http://127.0.0.1:9999/checkpoints`; `nil` for anything but plain HTTP to a loopback address.
        ///
        /// A witness elsewhere is reached through a program on this machine that speaks TLS.
        public init?(_ text: String) {
            guard text.hasPrefix("http://") else { return nil }
            let rest = text.dropFirst("http://".count)
            let slash = rest.firstIndex(of: "/") ?? rest.endIndex
            guard let address = SocketAddress(String(rest[..<slash])), address.isLoopback, address.port > 0 else {
                return nil
            }
            self.address = address
            path = slash == rest.endIndex ? "/" : String(rest[slash...])
            guard path.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else { return nil }
        }
    }
}

extension LedgerPolicy {
    init(reading mapping: PolicyMapping, installation: InstallationDirectory) {
        deadline = mapping.duration("deadline", in: .milliseconds(10)...Duration.seconds(60), default: deadline)
        segmentSize = mapping.byteCount(
            "segment_size", in: .kibibytes(64)...ByteCount.mebibytes(4096), default: segmentSize)
        segmentAge = mapping.duration(
            "segment_age", in: .seconds(60)...Duration.seconds(366 * 86_400), default: segmentAge)
        checkpointRecords = mapping.integer("checkpoint_records", in: 1...10_000_000, default: checkpointRecords)
        checkpointInterval = mapping.duration(
            "checkpoint_interval", in: .seconds(1)...Duration.seconds(86_400), default: checkpointInterval)
        retention = mapping.optional("retention")?.duration(in: .seconds(3600)...Duration.seconds(36_600 * 86_400))
        retainedSize = mapping.optional("retained_size")?.byteCount(in: .mebibytes(1)...ByteCount.mebibytes(1 << 30))
        witnessFile = mapping.optional("witness_file")?.text().map { installation.path($0) }
        if let node = mapping.optional("witness_url") {
            let form = "plain HTTP to a loopback address, such as http://127.0.0.1:9999/checkpoints"
            if let text = node.text(form) {
                witnessURL = WitnessURL(text)
                if witnessURL == nil { node.refuse(expected: form, found: text) }
            }
        }
    }
}
