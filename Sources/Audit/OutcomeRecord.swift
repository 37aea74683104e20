/// What became of a request: written when its answer is complete, or has failed.
public struct OutcomeRecord: AuditRecord {
    /// The request.
    public var facts: RequestFacts
    /// When the answer was complete, in milliseconds since 1970.
    public var time: Int64
    /// From the request's head to there, in microseconds.
    public var microseconds: Int
    /// The status that the client got; `nil` when its connection was cut before there was one.
    public var status: UInt16?
    /// The status that the bridge gave; `nil` when the request was not forwarded, or got no answer.
    public var upstreamStatus: UInt16?
    /// How long the bridge took for its answer's head, in microseconds.
    public var upstreamMicroseconds: Int?
    /// Bytes of the answer's content; `nil` for an answer of our own.
    public var contentLength: Int?
    /// Why there is no answer of the bridge's where there should be one: a fixed word.
    public var failure: String?
    /// Whether the answer reached its end.
    public var isComplete = true
    /// The credentials that were given for the request, or taken by it.
    public var credential: Credential?

    /// Credentials by their names; nothing that opens anything.
    public struct Credential: Sendable, Equatable {
        /// The API key's number.
        public var apiKey: Int
        /// Whose it is.
        public var client: String
        /// The access token's `jti`, where there is one.
        public var tokenID: String?
        /// The family of refresh tokens, where there is one.
        public var familyID: String?

        /// Reads what the bridge says: the four with blanks between them, a hyphen for what is not there.
        public init?(_ text: String) {
            let parts = text.split(separator: " ", omittingEmptySubsequences: false)
            guard parts.count == 4, let apiKey = Int(parts[0]) else { return nil }
            self.apiKey = apiKey
            client = String(parts[1])
            tokenID = parts[2] == "-" ? nil : String(parts[2])
            familyID = parts[3] == "-" ? nil : String(parts[3])
        }
    }

    /// An outcome.
    public init(_ facts: RequestFacts, time: Int64, microseconds: Int, status: UInt16?) {
        self.facts = facts
        self.time = time
        self.microseconds = microseconds
        self.status = status
    }

    /// Appends the record as one JSON object on one line.
    public func append(worker: [UInt8], _ hash: inout KeyedHash, to bytes: inout [UInt8]) {
        let names = credential == nil ? 1 : 4
        let byteBound = RequestFacts.byteBound + 640 + names * RequestFacts.quotedNameBound + worker.count
        bytes.append(addingCapacity: byteBound) { append(worker, &hash, to: &$0) }
    }

    private func append(_ worker: [UInt8], _ hash: inout KeyedHash, to bytes: inout OutputSpan<UInt8>) {
        facts.appendHead("outcome", time: time, to: &bytes)
        let isSuccess = isComplete && (status ?? 599) < 400
        bytes.append(",\"severity_id\":1,\"status_id\":")
        bytes.append(isSuccess ? "1" : "2")
        bytes.append(",\"duration\":")
        bytes.append(decimal: microseconds / 1000)
        facts.appendRequest(worker: worker, &hash, to: &bytes)
        // Again, so that whoever reads with other tools than ours finds by it what came of a client's requests.
        facts.appendActor(&hash, to: &bytes)
        bytes.append(",\"http_response\":{\"code\":")
        bytes.append(decimal: status ?? 0)
        if let contentLength {
            bytes.append(",\"length\":")
            bytes.append(decimal: contentLength)
        }
        if let upstreamMicroseconds {
            bytes.append(",\"latency\":")
            bytes.append(decimal: upstreamMicroseconds / 1000)
        }
        bytes.append("},\"unmapped\":{")
        facts.appendOwn(to: &bytes)
        if let upstreamStatus {
            bytes.append("\"upstream_status\":")
            bytes.append(decimal: upstreamStatus)
            bytes.append(",")
        }
        if let upstreamMicroseconds {
            bytes.append("\"upstream_us\":")
            bytes.append(decimal: upstreamMicroseconds)
            bytes.append(",")
        }
        if let failure {
            bytes.append("\"failure\":")
            bytes.append(quoted: failure, bound: RequestFacts.nameBound)
            bytes.append(",")
        }
        if let credential {
            bytes.append("\"credential\":{\"api_key\":")
            bytes.append(decimal: credential.apiKey)
            bytes.append(",\"client\":")
            bytes.append(quoted: credential.client, bound: RequestFacts.nameBound)
            if let tokenID = credential.tokenID {
                bytes.append(",\"jti\":")
                bytes.append(quoted: tokenID, bound: RequestFacts.nameBound)
            }
            if let familyID = credential.familyID {
                bytes.append(",\"family\":")
                bytes.append(quoted: familyID, bound: RequestFacts.nameBound)
            }
            bytes.append("},")
        }
        bytes.append(isComplete ? "\"complete\":true" : "\"complete\":false")
        bytes.append(",\"answered_us\":")
        bytes.append(decimal: microseconds)
        bytes.append("}}")
    }
}
