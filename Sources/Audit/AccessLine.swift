internal import HTTP
internal import Server
internal import Telemetry

/// The line that an outcome leaves in the process's log: flat, and short enough to be read.
public struct AccessLine {
    private let outcome: OutcomeRecord
    private let stage: String?

    /// - Parameters:
    ///   - outcome: what became of the request.
    ///   - stage: the stage that refused it; `nil` for a request that passed.
    public init(_ outcome: OutcomeRecord, refusedBy stage: String?) {
        self.outcome = outcome
        self.stage = stage
    }

    /// Whether the request was refused, or not answered as it should be.
    public var isFailure: Bool { !outcome.isComplete || (outcome.status ?? 599) >= 400 }

    /// Appends the line's members, behind those that every line of the log has.
    public func append(_ hash: inout KeyedHash, to bytes: inout [UInt8]) {
        let byteBound = RequestFacts.byteBound + 512 + 2 * RequestFacts.quotedNameBound
        bytes.append(addingCapacity: byteBound) { append(&hash, to: &$0) }
    }

    private func append(_ hash: inout KeyedHash, to bytes: inout OutputSpan<UInt8>) {
        let facts = outcome.facts
        bytes.append(",\"request_id\":\"")
        bytes.append(hexadecimal: facts.id.number)
        bytes.append("\"")
        bytes.append(",\"trace_id\":\"")
        bytes.append(hexadecimal: facts.trace.traceID)
        bytes.append("\"")
        bytes.append(",\"address\":")
        bytes.append(quoted: facts.address, bound: RequestFacts.addressBound)
        if let method = facts.method {
            bytes.append(",\"method\":")
            bytes.append(quoted: method.rawValue, bound: 16)
        }
        bytes.append(",\"path\":\"")
        facts.appendPath(&hash, to: &bytes)
        bytes.append("\"")
        append(name: ",\"route\":", facts.route, to: &bytes)
        if let principal = facts.principal {
            bytes.append(",\"client\":")
            RequestFacts.append(name: principal.client, &hash, to: &bytes)
        }
        append(name: ",\"hotel_id\":", facts.hotel, to: &bytes)
        append(name: ",\"status\":", outcome.status, to: &bytes)
        append(name: ",\"refused_by\":", stage, to: &bytes)
        append(name: ",\"failure\":", outcome.failure, to: &bytes)
        append(name: ",\"bytes_in\":", facts.contentLength, to: &bytes)
        append(name: ",\"bytes_out\":", outcome.contentLength, to: &bytes)
        append(name: ",\"upstream_us\":", outcome.upstreamMicroseconds, to: &bytes)
        append(name: ",\"duration_us\":", outcome.microseconds, to: &bytes)
    }

    @inline(__always)
    private func append(name: StaticString, _ value: (some FixedWidthInteger)?, to bytes: inout OutputSpan<UInt8>) {
        guard let value else { return }
        bytes.append(name)
        bytes.append(decimal: value)
    }

    @inline(__always)
    private func append(name: StaticString, _ value: String?, to bytes: inout OutputSpan<UInt8>) {
        guard let value else { return }
        bytes.append(name)
        bytes.append(quoted: value, bound: RequestFacts.nameBound)
    }
}
