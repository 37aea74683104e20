public import HTTP
public import Server
public import Telemetry

/// What the records of one request say about it. Nothing in them is a guest's data or a token: the query and the fields
/// are left out, and what looks like either in a path or a name stands there as a keyed hash.
///
/// A reference, because both records and the log's line share them.
public final class RequestFacts {
    /// The request's own name, also in its answer and in every log line.
    public var id: RequestID
    /// The method; `nil` for a request that could not be read.
    public var method: Method?
    /// The path without the query, as sent; empty for a request that could not be read.
    public var path: ArraySlice<UInt8>
    /// The trace it belongs to.
    public var trace: TraceContext
    /// The client's address; empty on a unix-domain socket.
    public var address: String
    /// The TLS version, such as "1.3"; `nil` for plain HTTP.
    public var tlsVersion: String?
    /// The operation that the request was found to be.
    public var route: String?
    /// Who makes it, once that is proven.
    public var principal: Principal?
    /// The hotel that it is about.
    public var hotel: Int32?
    /// Bytes of its content; `nil` where it has some that was not read.
    public var contentLength: Int?

    /// Somebody who has proven who he is. A reference, because it is four texts.
    public final class Principal {
        /// Who vouches for it.
        public var issuer: String
        /// Whom it names.
        public var subject: String
        /// The application that acts.
        public var client: String
        /// How it was proven.
        public var method: String

        /// As the identity has it.
        public init(issuer: String, subject: String, client: String, method: String) {
            self.issuer = issuer
            self.subject = subject
            self.client = client
            self.method = method
        }
    }

    /// What is known when a request has been read.
    public init(
        id: RequestID, method: Method?, path: ArraySlice<UInt8>, trace: TraceContext, address: String,
        tlsVersion: String? = nil
    ) {
        self.id = id
        self.method = method
        self.path = path
        self.trace = trace
        self.address = address
        self.tlsVersion = tlsVersion
    }
}

extension RequestFacts {
    /// Bytes of a path that are kept.
    static let pathBound = 512
    /// Bytes of a name that are kept: issuer, subject, client, route.
    static let nameBound = 128
    /// A path segment with more bytes is taken for a token.
    static let segmentBound = 40
    /// Bytes of an address that are kept.
    static let addressBound = 64
    /// The most bytes that a name takes, between quotation marks.
    static let quotedNameBound = OutputSpan<UInt8>.quotedBound(nameBound)
    /// The most bytes that all of a request's facts take, in a record as in a line of the log: a name each for issuer,
    /// subject, client, method and route; the path, in which every second byte may become a hash; and 1024 for the
    /// rest.
    static let byteBound =
        5 * quotedNameBound + (pathBound / 2 + 1) * (KeyedHash.textByteCount + 1)
        + OutputSpan<UInt8>.quotedBound(segmentBound) + OutputSpan<UInt8>.quotedBound(addressBound) + 1024

    /// Appends the members that both records begin with, from the opening brace to behind `metadata`.
    @inline(__always)
    func appendHead(_ kind: StaticString, time: Int64, to bytes: inout OutputSpan<UInt8>) {
        bytes.append("{\"class_uid\":4002,\"category_uid\":4,")
        bytes.append(activity)
        bytes.append(",\"time\":")
        bytes.append(decimal: time)
        bytes.append(",\"metadata\":{\"version\":\"1.7.0\",\"log_name\":\"")
        bytes.append(kind)
        bytes.append("\",\"uid\":\"")
        bytes.append(hexadecimal: id.number)
        bytes.append("\",\"correlation_uid\":\"")
        bytes.append(hexadecimal: trace.traceID)
        bytes.append("\",\"profiles\":[\"security_control\"],\"product\":")
        bytes.append("{\"name\":\"Drawbridge\",\"vendor_name\":\"Drawbridge\"}}")
    }

    /// Appends `http_request` and the two endpoints.
    @inline(__always)
    func appendRequest(worker: [UInt8], _ hash: inout KeyedHash, to bytes: inout OutputSpan<UInt8>) {
        bytes.append(",\"http_request\":{")
        if let method {
            bytes.append("\"http_method\":\"")
            bytes.append(method.rawValue.utf8.span)
            bytes.append("\",")
        }
        bytes.append("\"url\":{\"path\":\"")
        appendPath(&hash, to: &bytes)
        bytes.append("\"}")
        if let contentLength {
            bytes.append(",\"length\":")
            bytes.append(decimal: contentLength)
        }
        bytes.append("},\"src_endpoint\":{\"ip\":")
        bytes.append(quoted: address, bound: Self.addressBound)
        bytes.append("},\"dst_endpoint\":{\"svc_name\":\"")
        bytes.append(worker.span)
        bytes.append("\"}")
        if let tlsVersion {
            bytes.append(",\"tls\":{\"version\":")
            bytes.append(quoted: tlsVersion, bound: 16)
            bytes.append("}")
        }
    }

    /// Appends `actor`, if it is known.
    @inline(__always)
    func appendActor(_ hash: inout KeyedHash, to bytes: inout OutputSpan<UInt8>) {
        guard let principal else { return }
        bytes.append(",\"actor\":{\"user\":{\"uid\":")
        Self.append(name: principal.subject, &hash, to: &bytes)
        bytes.append(",\"domain\":")
        bytes.append(quoted: principal.issuer, bound: Self.nameBound)
        bytes.append("},\"app_uid\":")
        Self.append(name: principal.client, &hash, to: &bytes)
        bytes.append("}")
    }

    /// Appends the members of `unmapped` that both records have; the first thing in it.
    @inline(__always)
    func appendOwn(to bytes: inout OutputSpan<UInt8>) {
        if let route {
            bytes.append("\"route\":")
            bytes.append(quoted: route, bound: Self.nameBound)
            bytes.append(",")
        }
        if let hotel {
            bytes.append("\"hotel_id\":")
            bytes.append(decimal: hotel)
            bytes.append(",")
        }
    }

    /// Issuers name users as they like; one that is named by an address is not named here.
    static func append(name: String, _ hash: inout KeyedHash, to bytes: inout OutputSpan<UInt8>) {
        if isAddress(name.utf8Span.span) {
            bytes.append(quoted: hash.text(for: name), bound: nameBound)
        } else {
            bytes.append(quoted: name, bound: nameBound)
        }
    }

    private static func isAddress(_ name: Span<UInt8>) -> Bool {
        for index in name.indices where name[index] == UInt8(ascii: "@") { return true }
        return false
    }

    /// Appends the path; a segment that can be a token, or holds an address, as its hash.
    func appendPath(_ hash: inout KeyedHash, to bytes: inout OutputSpan<UInt8>) {
        let path = path
        appendPath(path.span, &hash, to: &bytes)
    }

    private func appendPath(_ path: Span<UInt8>, _ hash: inout KeyedHash, to bytes: inout OutputSpan<UInt8>) {
        if path.count <= Self.pathBound, !Self.isSuspicious(path) {
            return bytes.append(escaped: path, bound: path.count)
        }
        var start = 0
        while start < path.count, start < Self.pathBound {
            var end = start
            while end < path.count, path[end] != UInt8(ascii: "/") { end += 1 }
            let segment = path.extracting(start..<end)
            if Self.isSuspicious(segment) {
                bytes.append(hash.text(for: segment).utf8.span)
            } else {
                bytes.append(escaped: segment, bound: segment.count)
            }
            if end < path.count { bytes.append(UInt8(ascii: "/")) }
            start = end + 1
        }
        if start < path.count { bytes.append("…") }
    }

    /// Whether any segment is long, or may hold an address (`%40` is an @).
    private static func isSuspicious(_ path: Span<UInt8>) -> Bool {
        var length = 0
        for index in path.indices {
            switch path[index] {
            case UInt8(ascii: "/"): length = 0
            case UInt8(ascii: "@"), UInt8(ascii: "%"): return true
            default:
                length += 1
                if length > segmentBound { return true }
            }
        }
        return false
    }

    private var activity: StaticString {
        switch method {
        case .delete: "\"activity_id\":2,\"type_uid\":400202"
        case .get: "\"activity_id\":3,\"type_uid\":400203"
        case .head: "\"activity_id\":4,\"type_uid\":400204"
        case .options: "\"activity_id\":5,\"type_uid\":400205"
        case .post: "\"activity_id\":6,\"type_uid\":400206"
        case .put: "\"activity_id\":7,\"type_uid\":400207"
        case .patch: "\"activity_id\":9,\"type_uid\":400209"
        case nil: "\"activity_id\":0,\"type_uid\":400200"
        }
    }
}
