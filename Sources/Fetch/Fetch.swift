internal import CLibCurl
internal import Loop

/// Gets small documents from third parties over HTTPS, with libcurl.
///
/// A transfer blocks a thread of libuv's pool: that is the simplest thing that is right for documents that are asked
/// for now and then, such as an issuer's keys. Everything about it is bounded.
public struct Fetch: Sendable {
    /// How long all of it may take: name, connection, handshake, content.
    public var timeout = Duration.seconds(5)
    /// The most content, in bytes, after decompression, which is not asked for.
    public var maximumByteCount = 256 << 10
    /// A PEM file of the authorities believed, in place of the system's.
    public var authoritiesFile: String?

    /// The defaults.
    public init() {}

    /// What was fetched.
    public struct Document: Sendable, Equatable {
        /// The content.
        public var content: [UInt8]
        /// For how many seconds it counts as fresh (`Cache-Control: max-age`); `nil` where the server does not say.
        public var maximumAge: Int?
    }

    /// Whether an address may be fetched: `https`, or `http` on this very machine, without a user's name or password.
    public static func allows(_ address: String) -> Bool { isSecure(address) != nil }

    /// Gets a document. No redirect is followed.
    ///
    /// - Throws: `FetchError`, for every status but 200, too.
    @OnLoop
    public func get(_ address: String) async throws -> Document {
        guard let isSecure = Self.isSecure(address) else {
            throw FetchError(.forbidden, "neither https nor on this machine")
        }
        return try await Loop.offload { try transfer(address, isSecure: isSecure) }
    }

    /// Whether the address is one of HTTPS; `nil` when it may not be fetched at all.
    private static func isSecure(_ address: String) -> Bool? {
        guard let parts = URLParts(address), !parts.hasUser else { return nil }
        switch parts.scheme {
        case "https": return true
        case "http": return ["127.0.0.1", "[::1]", "localhost"].contains(parts.host) ? false : nil
        default: return nil
        }
    }

    private func transfer(_ address: String, isSecure: Bool) throws -> Document {
        guard CurlLibrary.isUsable, let handle = curl_easy_init() else {
            throw FetchError(.unreachable, "libcurl cannot be used")
        }
        defer { curl_easy_cleanup(handle) }
        let received = Received(bound: maximumByteCount)
        configure(handle, address, isSecure: isSecure, received)
        let code = withExtendedLifetime(received) { curl_easy_perform(handle) }
        guard code == CURLE_OK else { throw Self.error(code, received) }
        var status = 0
        drawbridge_curl_get_number(handle, CURLINFO_RESPONSE_CODE, &status)
        guard status == 200 else { throw FetchError(.status, "status \(status)") }
        return Document(content: received.bytes, maximumAge: Self.maximumAge(handle))
    }

    private func configure(_ handle: UnsafeMutableRawPointer, _ address: String, isSecure: Bool, _ received: Received) {
        func set(_ option: CURLoption, _ value: Int) {
            precondition(drawbridge_curl_set_number(handle, option, value) == CURLE_OK, "libcurl without an option")
        }
        func set(_ option: CURLoption, _ value: String) {
            precondition(drawbridge_curl_set_text(handle, option, value) == CURLE_OK, "libcurl without an option")
        }
        set(CURLOPT_URL, address)
        set(CURLOPT_PROTOCOLS_STR, isSecure ? "https" : "http")
        set(CURLOPT_FOLLOWLOCATION, 0)
        set(CURLOPT_TIMEOUT_MS, Int(timeout / .milliseconds(1)))
        // A signal for a timeout would hit whichever thread comes first.
        set(CURLOPT_NOSIGNAL, 1)
        set(CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2)
        set(CURLOPT_SSL_VERIFYPEER, 1)
        set(CURLOPT_SSL_VERIFYHOST, 2)
        if let authoritiesFile { set(CURLOPT_CAINFO, authoritiesFile) }
        // Where documents come from is the policy's business, not that of a variable somebody set.
        set(CURLOPT_PROXY, "")
        set(CURLOPT_USERAGENT, "drawbridge")
        set(CURLOPT_MAXFILESIZE, maximumByteCount)
        drawbridge_curl_set_writer(handle, Received.write, Unmanaged.passUnretained(received).toOpaque())
    }

    private static func error(_ code: CURLcode, _ received: Received) -> FetchError {
        let message = String(cString: curl_easy_strerror(code))
        if received.isOverBound { return FetchError(.tooMuch, "more than \(received.bound) bytes") }
        return switch code {
        case CURLE_OPERATION_TIMEDOUT: FetchError(.timedOut, message)
        case CURLE_FILESIZE_EXCEEDED: FetchError(.tooMuch, message)
        case CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CACERT_BADFILE, CURLE_SSL_CONNECT_ERROR:
            FetchError(.untrusted, message)
        default: FetchError(.unreachable, message)
        }
    }

    private static func maximumAge(_ handle: UnsafeMutableRawPointer) -> Int? {
        var header: UnsafeMutablePointer<curl_header>?
        guard curl_easy_header(handle, "Cache-Control", 0, UInt32(CURLH_HEADER), -1, &header) == CURLHE_OK,
            let value = header?.pointee.value
        else { return nil }
        for directive in String(cString: value).lowercased().split(separator: ",") {
            let directive = directive.drop { $0 == " " }
            if directive.hasPrefix("max-age=") { return Int(directive.dropFirst("max-age=".utf8.count)) }
        }
        return nil
    }
}

/// What a transfer has received so far; no more than its bound.
private final class Received {
    let bound: Int
    var bytes: [UInt8] = []
    var isOverBound = false

    init(bound: Int) { self.bound = bound }

    /// Taking less than was given ends the transfer.
    static let write: curl_write_callback = { data, size, count, context in
        let received = Unmanaged<Received>.fromOpaque(context!).takeUnretainedValue()
        let count = size * count
        guard received.bytes.count + count <= received.bound else {
            received.isOverBound = true
            return 0
        }
        UnsafeRawBufferPointer(start: data, count: count).withMemoryRebound(to: UInt8.self) {
            received.bytes.append(contentsOf: $0)
        }
        return count
    }
}

/// An address taken apart by libcurl, as the transfer will take it apart.
private struct URLParts {
    let scheme: String
    let host: String
    let hasUser: Bool

    init?(_ address: String) {
        guard !address.utf8.contains(0), let handle = curl_url() else { return nil }
        defer { curl_url_cleanup(handle) }
        func part(_ which: CURLUPart) -> String? {
            var text: UnsafeMutablePointer<CChar>?
            guard curl_url_get(handle, which, &text, 0) == CURLUE_OK, let text else { return nil }
            defer { curl_free(text) }
            return String(cString: text)
        }
        guard curl_url_set(handle, CURLUPART_URL, address, 0) == CURLUE_OK, let scheme = part(CURLUPART_SCHEME),
            let host = part(CURLUPART_HOST)
        else { return nil }
        self.scheme = scheme.lowercased()
        self.host = host.lowercased()
        hasUser = part(CURLUPART_USER) != nil || part(CURLUPART_PASSWORD) != nil
    }
}
