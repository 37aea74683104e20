internal import CLibCurl
internal import Egress
internal import Glibc
internal import HTTP
internal import Loop

/// One request on its way and what has come of its answer; used again for the next one.
///
/// libcurl calls back on the loop's thread, where it is called. `close` it before letting go of it.
@OnLoop
final class Transfer {
    /// The longest head of an answer, interim ones included, in bytes: libcurl 7.88 has no bound of its own for all of it.
    private static let maximumHead = 64 << 10

    let handle: UnsafeMutableRawPointer
    /// Of those that take one request at a time the one on which it was sent last; `MultiHandle` keeps it.
    var connection: OpaquePointer?
    private let multi: MultiHandle
    private var signal = Signal()
    private var deadline: Deadline?
    private let fields = FieldList()
    private let maximumAnswer: Int
    /// For an answer's content, once its head is there.
    private let contentPatience: Duration
    private let hasProxy: Bool
    /// How long what was sent may stay without the other side's word that it has come, before the connection is given up.
    private let unansweredMilliseconds: CUnsignedInt
    private let errorBuffer: UnsafeMutablePointer<CChar>
    private var began: UInt64 = 0
    /// From then to the deadline.
    private var patience = Duration.zero
    private var judge: (IPAddress) -> EgressRefusal? = { _ in nil }
    private var onConnected: @OnLoop (_ isShared: Bool) -> Void = { _ in }

    private var result: CURLcode?
    private var head = AnswerHead()
    private var content: [UInt8] = []
    private var isCut = false
    private var refusal: EgressRefusal?
    /// Whether any address may be connected to.
    private var hasOpened = false
    /// Whether there was no socket to be had: too many files are open, or memory is short.
    private var isShort = false
    private var address: IPAddress?
    /// What libcurl would send it on is another's, until that has been answered.
    private var isCrowded = false
    private var isSessionResumed = false
    private var attempts = 0

    init(_ terms: SendingTerms, _ multi: MultiHandle) {
        guard CurlLibrary.isUsable, let handle = curl_easy_init() else { preconditionFailure("libcurl cannot be used") }
        self.handle = handle
        self.multi = multi
        maximumAnswer = terms.maximumAnswer
        contentPatience = terms.contentDeadline
        hasProxy = terms.proxy != nil
        unansweredMilliseconds = CUnsignedInt(terms.totalDeadline / .milliseconds(1))
        errorBuffer = .allocate(capacity: Int(CURL_ERROR_SIZE))
        configure(terms)
        setCallbacks()
        deadline = Deadline { [weak self] in self?.signal.fire() }
    }

    /// Frees it, once it is not under way any more.
    func close() {
        guard let deadline else { return }
        self.deadline = nil
        deadline.cancel()
        multi.forget(self)
        curl_easy_cleanup(handle)
        errorBuffer.deallocate()
    }

    /// Prepares it for a request.
    ///
    /// - Parameters:
    ///   - judge: what speaks against connecting to an address.
    ///   - onConnected: called, from within libcurl, when there is a connection to send it on, with whether that takes several
    ///     requests at once.
    func prepare(
        _ body: [UInt8], to destination: Destination, _ fields: Fields, sessions: SessionCaches,
        judge: @escaping (IPAddress) -> EgressRefusal?, onConnected: @escaping @OnLoop (_ isShared: Bool) -> Void
    ) {
        signal = Signal()
        began = Loop.monotonicNanoseconds
        result = nil
        head = AnswerHead()
        content.removeAll(keepingCapacity: true)
        isCut = false
        refusal = nil
        hasOpened = false
        isShort = false
        address = nil
        isCrowded = false
        isSessionResumed = false
        attempts = 0
        errorBuffer.pointee = 0
        self.judge = judge
        self.onConnected = onConnected
        set(CURLOPT_URL, destination.url)
        set(CURLOPT_SHARE, sessions.cache(host: destination.host, port: destination.port))
        set(CURLOPT_HTTPHEADER, self.fields.fill(fields))
        set(CURLOPT_POSTFIELDSIZE, body.count)
        // It is copied. Without an address libcurl would ask for the content.
        body.withUnsafeBytes {
            set(
                CURLOPT_COPYPOSTFIELDS,
                UnsafeMutableRawPointer(mutating: $0.baseAddress ?? UnsafeRawPointer(errorBuffer)))
        }
    }

    /// Waits until it has ended, or the deadline has passed.
    ///
    /// - Throws: `CancellationError`. It may be under way still, then and when the deadline has passed.
    func wait(_ patience: Duration) async throws {
        self.patience = patience
        deadline?.set(patience)
        defer { deadline?.clear() }
        try await signal.wait()
    }

    /// Notes how it ended and wakes who waits.
    func end(_ result: CURLcode) {
        self.result = result
        signal.fire()
    }

    /// Whether the next request may go by it. libcurl (7.88) counts what it has sent again, after a connection had died, over
    /// all of a handle's requests, and gives up at five.
    var isReusable: Bool { result == CURLE_OK && attempts <= 1 }

    /// Whether it has to be sent again, where no other request is on the same connection: it was not sent, or its answer is lost.
    ///
    /// Where requests share a connection, libcurl (7.88) finds the answer of one while it reads for another. If the receiver
    /// has then closed the stream before all was sent, as it may (RFC 9113 section 8.1), libcurl stops at that when it wants to
    /// send the rest, and forgets the answer. It says nothing about it, as it does about a stream that was broken off.
    var isToBeSentAlone: Bool {
        isCrowded || result == CURLE_HTTP2_STREAM && head.status == nil && errorBuffer.pointee == 0
    }

    // MARK: What it came to

    /// The answer, or why there is none.
    func outcome() throws(SendError) -> Reply {
        let result = result ?? CURLE_OPERATION_TIMEDOUT
        guard let status = head.status, let address else { throw error(result) }
        let ending: Reply.Ending =
            switch result {
            case CURLE_OK: .whole
            case _ where isCut: .cut
            case CURLE_OPERATION_TIMEDOUT: .timedOut
            default: .broken
            }
        return Reply(
            status: status, content: content, ending: ending, retryAfter: head.retryAfter, version: version,
            address: address, isConnectionReused: number(CURLINFO_NUM_CONNECTS) == 0,
            isSessionResumed: isSessionResumed, timings: timings)
    }

    private func error(_ result: CURLcode) -> SendError {
        let said = errorBuffer.pointee == 0 ? curl_easy_strerror(result)! : UnsafePointer(errorBuffer)
        let message = self.result == nil ? "the deadline passed" : String(cString: said)
        if let refusal, !hasOpened || result == CURLE_ABORTED_BY_CALLBACK {
            return SendError(.refused(refusal), refusal.message, timings)
        }
        let code: SendError.Code =
            switch result {
            case CURLE_OUT_OF_MEMORY, CURLE_SSL_CACERT_BADFILE, CURLE_COULDNT_RESOLVE_PROXY: .ownFault
            case CURLE_COULDNT_CONNECT where hasProxy || isShort: .ownFault
            case CURLE_COULDNT_RESOLVE_HOST: .nameNotFound
            case CURLE_COULDNT_CONNECT, CURLE_PROXY: .notConnected
            case CURLE_ABORTED_BY_CALLBACK where isCrowded: .notConnected
            case CURLE_PEER_FAILED_VERIFICATION: .tls(verificationFault)
            case CURLE_SSL_CONNECT_ERROR, CURLE_SSL_CERTPROBLEM, CURLE_SSL_CIPHER: .tls(.handshake)
            case CURLE_OPERATION_TIMEDOUT: .timedOut
            // Before there was a connection to send on: a proxy that refuses, among others.
            case CURLE_SEND_ERROR, CURLE_RECV_ERROR: address == nil ? .notConnected : .connectionLost
            case CURLE_GOT_NOTHING, CURLE_PARTIAL_FILE, CURLE_HTTP2_STREAM: .connectionLost
            default: .malformed
            }
        return SendError(code, message, timings)
    }

    /// By OpenSSL's code for what is wrong with the chain; of names libcurl itself judges, before it notes a code.
    private var verificationFault: SendError.TLSFault {
        switch number(CURLINFO_SSL_VERIFYRESULT) {
        case 0, 1: .wrongName
        case 9: .notYetValid
        case 10: .expired
        default: .untrusted
        }
    }

    private var version: Reply.Version {
        switch number(CURLINFO_HTTP_VERSION) {
        case Int(CURL_HTTP_VERSION_1_0): .http10
        case Int(CURL_HTTP_VERSION_2_0): .http2
        default: .http11
        }
    }

    private var timings: Timings {
        Timings(
            name: time(CURLINFO_NAMELOOKUP_TIME_T), connect: time(CURLINFO_CONNECT_TIME_T),
            tls: time(CURLINFO_APPCONNECT_TIME_T), firstByte: time(CURLINFO_STARTTRANSFER_TIME_T),
            total: elapsed)
    }

    /// Since it was prepared for its request.
    var elapsed: Duration { .nanoseconds(Loop.monotonicNanoseconds - began) }

    private func number(_ info: CURLINFO) -> Int {
        var value = 0
        drawbridge_curl_get_number(handle, info, &value)
        return value
    }

    private func time(_ info: CURLINFO) -> Duration {
        var microseconds: curl_off_t = 0
        drawbridge_curl_get_offset(handle, info, &microseconds)
        return .microseconds(Int64(microseconds))
    }

    // MARK: Settings

    private func set(_ option: CURLoption, _ value: Int) {
        precondition(drawbridge_curl_set_number(handle, option, value) == CURLE_OK, "libcurl without an option")
    }

    private func set(_ option: CURLoption, _ value: String?) {
        precondition(drawbridge_curl_set_text(handle, option, value) == CURLE_OK, "libcurl without an option")
    }

    private func set(_ option: CURLoption, _ value: UnsafeMutableRawPointer?) {
        precondition(drawbridge_curl_set_pointer(handle, option, value) == CURLE_OK, "libcurl without an option")
    }

    /// What holds for every request.
    private func configure(_ terms: SendingTerms) {
        set(CURLOPT_PROTOCOLS_STR, "http,https")
        set(CURLOPT_FOLLOWLOCATION, 0)
        set(CURLOPT_POST, 1)
        set(CURLOPT_USERAGENT, "drawbridge")
        set(CURLOPT_CONNECTTIMEOUT_MS, Int(terms.connectDeadline / .milliseconds(1)))
        set(CURLOPT_HTTP_VERSION, terms.usesHTTP2 ? Int(CURL_HTTP_VERSION_2TLS) : Int(CURL_HTTP_VERSION_1_1))
        // A receiver that has moved is found at its new address in the end: a connection that old is not used again once
        // nothing is on its way over it.
        set(CURLOPT_MAXLIFETIME_CONN, 600)
        set(CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2)
        set(CURLOPT_SSL_VERIFYPEER, 1)
        set(CURLOPT_SSL_VERIFYHOST, 2)
        if let file = terms.authoritiesFile { set(CURLOPT_CAINFO, file) }
        // The authorities are read once a day and not for each connection, but only where they are one file.
        set(CURLOPT_CAPATH, nil as String?)
        // What goes where is the policy's business, not that of variables somebody set.
        set(CURLOPT_PROXY, terms.proxy?.url ?? "")
        set(CURLOPT_NOPROXY, "")
        set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1)
        // Signals for timeouts would hit whichever thread comes first, and the loop does not wait for names.
        set(CURLOPT_NOSIGNAL, 1)
        set(CURLOPT_QUICK_EXIT, 1)
        set(CURLOPT_ERRORBUFFER, errorBuffer)
        set(CURLOPT_PRIVATE, Unmanaged.passUnretained(self).toOpaque())
    }

    // MARK: Callbacks

    /// The transfer that a handle belongs to.
    static func of(_ handle: UnsafeMutableRawPointer) -> Transfer {
        var context: UnsafeMutablePointer<CChar>?
        drawbridge_curl_get_pointer(handle, CURLINFO_PRIVATE, &context)
        return Unmanaged<Transfer>.fromOpaque(context!).takeUnretainedValue()
    }

    private func setCallbacks() {
        let context = Unmanaged.passUnretained(self).toOpaque()
        let results = [
            drawbridge_curl_set_opener(
                handle,
                { context, _, address in
                    let transfer = Unmanaged<Transfer>.fromOpaque(context!).takeUnretainedValue()
                    return OnLoop.assumeIsolated { transfer.open(address!) }
                }, context),
            drawbridge_curl_set_examiner(
                handle,
                { context, address, _, _, _ in
                    let transfer = Unmanaged<Transfer>.fromOpaque(context!).takeUnretainedValue()
                    return OnLoop.assumeIsolated { transfer.examine(address) }
                }, context),
            drawbridge_curl_set_head_reader(
                handle,
                { data, size, count, context in
                    let transfer = Unmanaged<Transfer>.fromOpaque(context!).takeUnretainedValue()
                    let line = UnsafeRawBufferPointer(start: data, count: size * count)
                    return OnLoop.assumeIsolated { transfer.readHead(line) }
                }, context),
            drawbridge_curl_set_writer(
                handle,
                { data, size, count, context in
                    let transfer = Unmanaged<Transfer>.fromOpaque(context!).takeUnretainedValue()
                    let received = UnsafeRawBufferPointer(start: data, count: size * count)
                    return OnLoop.assumeIsolated { transfer.readContent(received) }
                }, context),
        ]
        precondition(results.allSatisfy { $0 == CURLE_OK }, "libcurl without an option")
    }

    /// Makes the socket for an address that libcurl is about to connect to, whatever name has led there, if it may be
    /// connected to.
    private func open(_ address: UnsafeMutablePointer<curl_sockaddr>) -> curl_socket_t {
        guard allows(IPAddress(address)) else { return CURL_SOCKET_BAD }
        hasOpened = true
        let flags = Int32(SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
        let descriptor = socket(address.pointee.family, address.pointee.socktype | flags, address.pointee.protocol)
        guard descriptor >= 0 else {
            isShort = [EMFILE, ENFILE, ENOMEM, ENOBUFS].contains(errno)
            return CURL_SOCKET_BAD
        }
        multi.opened(descriptor)
        // Without it a request over a connection whose other side is gone, and each that HTTP/2 sends after it over the same
        // one, would be lost until the kernel gives up, which takes a quarter of an hour (tcp(7)).
        var patience = unansweredMilliseconds
        let status = setsockopt(
            descriptor, CInt(IPPROTO_TCP), TCP_USER_TIMEOUT, &patience,
            socklen_t(MemoryLayout<CUnsignedInt>.size))
        precondition(status == 0, "a socket that is not TCP's")
        return descriptor
    }

    /// Looks once more where the connection leads that the request is about to be sent on: it may be another's, who may
    /// go elsewhere.
    private func examine(_ text: UnsafePointer<CChar>?) -> CInt {
        attempts += 1
        address = text.flatMap { IPAddress(String(cString: $0)) }
        guard allows(address) else { return CURL_PREREQFUNC_ABORT }
        isSessionResumed = number(CURLINFO_NUM_CONNECTS) > 0 && drawbridge_curl_is_resumed(handle) == 1
        let isShared = drawbridge_curl_speaks_http2(handle) == 1
        isCrowded = !isShared && !multi.take(drawbridge_curl_tls(handle), for: self)
        guard !isCrowded else { return CURL_PREREQFUNC_ABORT }
        onConnected(isShared)
        return CURL_PREREQFUNC_OK
    }

    private func allows(_ address: IPAddress?) -> Bool {
        // What is no address cannot be judged, and is none that anything is sent to.
        guard let address else { return false }
        refusal = judge(address)
        return refusal == nil
    }

    /// Is given the head of the answer line by line. Taking less than was given ends the transfer.
    private func readHead(_ line: UnsafeRawBufferPointer) -> Int {
        let hadStatus = head.status != nil
        head.read(line)
        // What has to be known is known. Of an answer by HTTP/2 that is complete libcurl (7.88) misses the end now and then, where
        // it came before all was sent.
        if !hadStatus, head.status != nil { deadline?.set(min(contentPatience, max(.zero, patience - elapsed))) }
        return head.byteCount <= Self.maximumHead ? line.count : 0
    }

    private func readContent(_ received: UnsafeRawBufferPointer) -> Int {
        let kept = received.prefix(maximumAnswer - content.count)
        content.append(contentsOf: kept)
        isCut = kept.count < received.count
        return kept.count
    }
}

extension IPAddress {
    /// The one that libcurl has for a socket; nil for one of another family.
    fileprivate init?(_ address: UnsafeMutablePointer<curl_sockaddr>) {
        let pointer = UnsafeRawPointer(address) + MemoryLayout<curl_sockaddr>.offset(of: \.addr)!
        switch address.pointee.family {
        case AF_INET: self.init(ipv4: UInt32(bigEndian: pointer.loadUnaligned(as: sockaddr_in.self).sin_addr.s_addr))
        case AF_INET6:
            let six = pointer.loadUnaligned(as: sockaddr_in6.self).sin6_addr
            self.init(ipv6: UInt128(bigEndian: unsafeBitCast(six, to: UInt128.self)))
        default: return nil
        }
    }
}
