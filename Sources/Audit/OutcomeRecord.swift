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

    /// An outcome.
    public init(_ facts: RequestFacts, time: Int64, microseconds: Int, status: UInt16?) {
        self.facts = facts
        self.time = time
        self.microseconds = microseconds
        self.status = status
    }

    /// Appends the record as one JSON object on one line.
    public func append(worker: [UInt8], _ hash: inout KeyedHash, to bytes: inout [UInt8]) {
        let byteBound = RequestFacts.byteBound + 512 + RequestFacts.quotedNameBound + worker.count
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
        bytes.append(isComplete ? "\"complete\":true" : "\"complete\":false")
        bytes.append(",\"answered_us\":")
        bytes.append(decimal: microseconds)
        bytes.append("}}")
    }
}
