internal import CLibUV
internal import Glibc

/// What stands between a stream's socket and its user: TLS. A state machine, bytes in, bytes out.
@OnLoop
public protocol StreamSecurity: AnyObject {
    /// Takes what the peer sent; appends what the user may read to `plaintext` and what must be sent to `outgoing`.
    func receive(_ ciphertext: UnsafeRawBufferPointer, plaintext: inout [UInt8], outgoing: inout [UInt8]) throws

    /// Takes what the user writes; appends what must be sent.
    func send(_ plaintext: UnsafeRawBufferPointer, outgoing: inout [UInt8]) throws

    /// Appends what says goodbye to the peer.
    func close(outgoing: inout [UInt8])

    /// Whether the peer has said goodbye: without it, an end of input may be an attacker's cut.
    var isClosedByPeer: Bool { get }

    /// The version of the protocol that both agreed on, such as "1.3"; nil before they have.
    var protocolVersion: String? { get }
}

extension StreamSecurity {
    /// A protocol without versions.
    public var protocolVersion: String? { nil }
}

/// A connected TCP or unix-domain socket, plain or secured.
///
/// One task reads and writes. Reading fills `input`, which the user parses in place and consumes; the socket is not read
/// while more than `inputBound` bytes wait there. `write` returns when the kernel has taken everything, so no more than
/// one write's bytes are ever queued. The stream keeps itself alive until `close`.
@OnLoop
public final class Stream {
    /// Bytes that may wait unread before the socket is left alone.
    public static let inputBound = 64 << 10

    private let handle: UnsafeMutablePointer<uv_stream_t>
    private let descriptor: CInt
    private let description: StreamDescription
    private var input: [UInt8] = []
    private var inputStart = 0

    private let reader = Waiter<Bool>()
    private var writer: WriteRequest?
    private var isReading = false
    private var isClosed = false
    private var end: End?

    /// Why nothing more can be read.
    private enum End {
        case endOfInput
        case failure(any Error)
    }

    /// Set before the first read to let everything pass through it; see `secure(with:)` for later.
    public var security: (any StreamSecurity)?

    /// Called once, when the peer closes or breaks the connection while nobody reads; not for an end already known
    /// (`isEnded`).
    public var onHangUp: (@OnLoop () -> Void)?

    init(_ handle: UnsafeMutablePointer<uv_stream_t>, _ description: StreamDescription) {
        self.handle = handle
        var descriptor: uv_os_fd_t = -1
        uv_fileno(handle.asHandle, &descriptor)
        self.descriptor = descriptor
        self.description = description
        handle.pointee.data = Unmanaged.passRetained(self).toOpaque()
    }

    /// The peer's address, without port, as text; empty for a unix-domain socket.
    public var peerAddress: String { description.peerAddress }

    // MARK: Reading

    /// How many bytes wait to be read.
    @inline(__always)
    public var readableCount: Int { input.count - inputStart }

    /// Calls `body` with the bytes that wait to be read.
    @inline(__always)
    public func withReadable<Result, Failure: Error>(
        _ body: (Span<UInt8>) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        // A span of a class's stored array is not expressible yet; the pointer does not outlive the closure.
        try input.withUnsafeBufferPointer { (bytes) throws(Failure) -> Result in
            try body(Span(_unsafeElements: UnsafeBufferPointer(rebasing: bytes[inputStart...])))
        }
    }

    /// Drops the first `count` readable bytes.
    @inline(__always)
    public func consume(_ count: Int) {
        inputStart += count
        precondition(inputStart <= input.count, "more was consumed than is there")
        if inputStart == input.count {
            inputStart = 0
            input.removeAll(keepingCapacity: input.capacity <= 8 << 10)
        }
    }

    /// Waits until more bytes than now are readable.
    ///
    /// - Returns: false when the peer has ended its side in order.
    /// - Throws: `LoopError` when the connection breaks or was closed here; `CancellationError`.
    public func fill() async throws -> Bool {
        let before = readableCount
        startReading()
        return try await reader.wait {
            if readableCount > before { return .success(true) }
            if let end { return Result { try result(of: end) } }
            return isClosed ? .failure(LoopError(.closed, "read")) : nil
        }
    }

    /// Resumes `continuation` as `fill` would return, but does not watch for the task's cancellation: only
    /// `interruptRead` and `close` end the wait.
    ///
    /// It is for the hot path: `try await withUnsafeThrowingContinuation { stream.fill(resuming: $0) }` suspends once,
    /// where each asynchronous function in between would hop back to the loop's actor as well, and watching for
    /// cancellation costs a good part of what reading costs. Its owner watches once, by `closingOnCancellation`.
    public func fill(resuming continuation: UnsafeContinuation<Bool, any Error>) {
        if end == nil, !isClosed { startReading() }
        if let end {
            continuation.resume(with: Result { try result(of: end) })
        } else if isClosed {
            continuation.resume(throwing: LoopError(.closed, "read"))
        } else {
            reader.park(continuation)
        }
    }

    /// Runs `body`, and closes the stream when the task is cancelled meanwhile.
    public func closingOnCancellation<Output>(
        _ body: @OnLoop () async throws -> Output
    ) async rethrows -> Output {
        try await withTaskCancellationHandler {
            try await body()
        } onCancel: {
            Loop.perform { self.close() }
        }
    }

    /// Lets a waiting `fill` throw `error`; the connection stays as it is. Does nothing when nobody waits.
    public func interruptRead(_ error: any Error) { reader.resume(with: .failure(error)) }

    /// Whether the peer has ended or broken the connection, as far as is known.
    public var isEnded: Bool { end != nil || isClosed }

    /// Reads ahead while the user is busy, so that a hang-up is noticed.
    public func startReading() {
        guard !isReading, !isClosed, end == nil else { return }
        isReading = true
        let status = uv_read_start(
            handle,
            { _, _, buffer in buffer!.pointee = uv_buf_init(Stream.scratch, CUnsignedInt(Stream.scratchCount)) },
            { handle, count, _ in
                let stream = Unmanaged<Stream>.fromOpaque(handle!.pointee.data).takeUnretainedValue()
                OnLoop.assumeIsolated((stream, count)) { stream, count in stream.didRead(count) }
            })
        if status != 0 { finish(.failure(LoopError(status, "read"))) }
    }

    /// Where libuv puts what it reads, for every stream: the bytes are moved on before the callback returns.
    private nonisolated static let scratchCount = 64 << 10
    /// Touched by libuv and `didRead` only, both on the loop's thread.
    private nonisolated(unsafe) static let scratch = UnsafeMutablePointer<CChar>.allocate(capacity: scratchCount)

    private func didRead(_ count: Int) {
        guard count >= 0 else {
            if count == Int(UV_EOF.rawValue) {
                let isCut = security.map { !$0.isClosedByPeer } ?? false
                finish(isCut ? .failure(LoopError(UV_ECONNRESET.rawValue, "read")) : .endOfInput)
            } else {
                finish(.failure(LoopError(CInt(count), "read")))
            }
            return
        }
        guard count > 0 else { return }
        let received = UnsafeRawBufferPointer(start: Self.scratch, count: count)
        if inputStart > 0, inputStart > Self.inputBound / 2 {
            input.removeFirst(inputStart)
            inputStart = 0
        }
        let before = readableCount
        if let security {
            do { try receive(received, through: security) } catch { return finish(.failure(error)) }
        } else {
            input.append(contentsOf: received)
        }
        if readableCount >= Self.inputBound { stopReading() }
        if readableCount > before { reader.resume(with: .success(true)) }
        // A peer that says goodbye may wait for an answer with its socket open, so the goodbye itself is the end.
        if let security, security.isClosedByPeer { finish(.endOfInput) }
    }

    private func receive(_ ciphertext: UnsafeRawBufferPointer, through security: any StreamSecurity) throws {
        var outgoing: [UInt8] = []
        // Also on failure: the alert that says why must reach the peer.
        defer { sendAside(outgoing) }
        try security.receive(ciphertext, plaintext: &input, outgoing: &outgoing)
        // A peer that provokes answers and reads none must not fill our memory.
        let waiting = uv_stream_get_write_queue_size(handle) - (writer?.count ?? 0)
        guard waiting <= Self.inputBound else { throw LoopError(.tooLarge, "answer") }
    }

    /// Lets everything pass through `security` from now on, received bytes not yet consumed included.
    ///
    /// - Throws: what `security` throws about those bytes.
    public func secure(with security: any StreamSecurity) throws {
        guard !isClosed else { throw LoopError(.closed, "secure") }
        self.security = security
        guard readableCount > 0 else { return }
        let received = Array(input[inputStart...])
        consume(readableCount)
        try received.withUnsafeBytes { try receive($0, through: security) }
        if security.isClosedByPeer { finish(.endOfInput) }
    }

    private func stopReading() {
        guard isReading else { return }
        isReading = false
        uv_read_stop(handle)
    }

    private func finish(_ end: End) {
        stopReading()
        self.end = end
        if reader.isWaiting {
            reader.resume(with: Result { try result(of: end) })
        } else {
            let hangUp = onHangUp
            onHangUp = nil
            hangUp?()
        }
    }

    private func result(of end: End) throws -> Bool {
        switch end {
        case .endOfInput: return false
        case .failure(let error): throw error
        }
    }

    // MARK: Writing

    /// What the kernel has not taken of a write yet.
    public struct Remainder {
        fileprivate let request: WriteRequest
        /// Of a secured write: what is to be secured after that.
        fileprivate var unsecured: ArraySlice<UInt8> = []
    }

    /// Sends `bytes`; returns when the kernel has taken them all.
    ///
    /// - Throws: `LoopError` when the connection breaks or is closed meanwhile.
    public func write(_ bytes: [UInt8]) async throws {
        if let rest = try send(bytes) { try await write(rest) }
    }

    /// Sends what the kernel takes at once of `bytes`. Nearly always that is all of it, and no task has to wait.
    ///
    /// - Returns: what is left, to be given to `write(_:)` before anything else is sent; nil when nothing is.
    @inline(__always)
    public func send(_ bytes: [UInt8]) throws -> Remainder? {
        if security != nil { return try sendSecured(bytes[...]) }
        return try sendPlain(bytes).map { Remainder(request: $0) }
    }

    /// Waits until the rest of a write is sent.
    public func write(_ remainder: Remainder) async throws {
        var next: Remainder? = remainder
        while let rest = next {
            try await finish(rest.request)
            next = rest.unsecured.isEmpty ? nil : try sendSecured(rest.unsecured)
        }
    }

    /// Bytes secured at a time, so that a large write is not held twice.
    private static let securedAtOnce = 64 << 10

    private func sendSecured(_ bytes: ArraySlice<UInt8>) throws -> Remainder? {
        var rest = bytes
        repeat {
            guard !isClosed, let security else { throw LoopError(.closed, "write") }
            var outgoing: [UInt8] = []
            try rest.prefix(Self.securedAtOnce).withUnsafeBytes { try security.send($0, outgoing: &outgoing) }
            rest = rest.dropFirst(Self.securedAtOnce)
            if let request = try sendPlain(outgoing) { return Remainder(request: request, unsecured: rest) }
        } while !rest.isEmpty
        return nil
    }

    private func tryWrite(_ bytes: [UInt8]) throws -> Int {
        guard !isClosed else { throw LoopError(.closed, "write") }
        guard !bytes.isEmpty else { return 0 }
        // What libuv still has of an earlier write goes first.
        guard uv_stream_get_write_queue_size(handle) == 0 else { return 0 }
        // `send`, because the kernel takes it a shorter way than the `write` of `uv_try_write`: 2 % of a proxied request.
        while true {
            let count = bytes.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, CInt(MSG_NOSIGNAL)) }
            if count >= 0 { return count }
            switch errno {
            case EINTR: continue
            case EAGAIN, ENOBUFS: return 0
            case let code: throw LoopError(-code, "write")
            }
        }
    }

    /// Gives `bytes` to the kernel and what it does not take now to libuv, with nothing in between.
    ///
    /// - Returns: the request to wait for, nil when the kernel has taken all.
    @inline(__always)
    private func sendPlain(_ bytes: [UInt8]) throws -> WriteRequest? {
        let sent = try tryWrite(bytes)
        return sent == bytes.count ? nil : queue(bytes, from: sent)
    }

    private func queue(_ bytes: [UInt8], from start: Int) -> WriteRequest {
        precondition(writer == nil, "one task at a time may write a stream")
        let request = WriteRequest(bytes, from: start)
        writer = request
        request.submit(on: handle) { [self] in writer = nil }
        return request
    }

    private func finish(_ request: WriteRequest) async throws {
        do {
            try await request.wait()
        } catch is CancellationError {
            close()
            throw LoopError(.closed, "write")
        }
    }

    /// Sends what no task waits for: an answer of TLS itself.
    private func sendAside(_ bytes: [UInt8]) {
        // If the connection is broken, reading will tell.
        guard let sent = try? tryWrite(bytes), sent < bytes.count else { return }
        WriteRequest(bytes, from: sent).submit(on: handle) {}
    }

    // MARK: Closing

    /// Closes the connection; a waiting read or write throws. Calling it again does nothing.
    public func close() {
        guard !isClosed else { return }
        if let security {
            var outgoing: [UInt8] = []
            security.close(outgoing: &outgoing)
            _ = try? tryWrite(outgoing)
        }
        isClosed = true
        isReading = false
        onHangUp = nil
        uv_close(handle.asHandle) { handle in
            Unmanaged<Stream>.fromOpaque(handle!.pointee.data).release()
            UnsafeMutableRawPointer(handle!).deallocate()
        }
        reader.resume(with: .failure(LoopError(.closed, "read")))
    }

    /// Sends what TLS and TCP need to end our side in order, so that the peer gets the last bytes even when it still
    /// sends, then closes after at most `patience`.
    public func closeGracefully(patience: Duration = .seconds(1)) async {
        guard !isClosed else { return }
        if end == nil, shutDown() {
            let deadline = Deadline { self.close() }
            deadline.set(patience)
            // RFC 9112 §9.6: reading until the peer closes keeps the kernel from resetting away our last answer.
            while (try? await fill()) == true { consume(readableCount) }
            deadline.cancel()
        }
        close()
    }

    private func shutDown() -> Bool {
        if let security {
            var outgoing: [UInt8] = []
            security.close(outgoing: &outgoing)
            sendAside(outgoing)
        }
        let request = UnsafeMutablePointer<uv_shutdown_t>.allocate(capacity: 1)
        let status = uv_shutdown(request, handle) { request, _ in request!.deallocate() }
        if status != 0 { request.deallocate() }
        return status == 0
    }
}

/// What is known of a stream's other end.
struct StreamDescription {
    var peerAddress = ""
}

/// Bytes on their way into the kernel; keeps them and itself alive until libuv has called back.
@OnLoop
private final class WriteRequest {
    let count: Int
    private let request = UnsafeMutablePointer<uv_write_t>.allocate(capacity: 1)
    private let bytes: UnsafeMutableBufferPointer<UInt8>
    private var onCompletion: (@OnLoop () -> Void)?
    private var result: Result<Void, any Error>?
    private let waiter = Waiter<Void>()

    init(_ bytes: [UInt8], from start: Int) {
        count = bytes.count - start
        self.bytes = .allocate(capacity: count)
        _ = self.bytes.initialize(from: bytes[start...])
    }

    /// To be called once; the bytes are freed when libuv is done with them.
    ///
    /// - Parameter onCompletion: called before this returns when the stream cannot be written.
    func submit(on handle: UnsafeMutablePointer<uv_stream_t>, onCompletion: @escaping @OnLoop () -> Void) {
        self.onCompletion = onCompletion
        request.pointee.data = Unmanaged.passRetained(self).toOpaque()
        var buffer = uv_buf_init(
            UnsafeMutableRawPointer(bytes.baseAddress)?.assumingMemoryBound(to: CChar.self), CUnsignedInt(count))
        let status = uv_write(request, handle, &buffer, 1) { request, status in
            OnLoop.assumeIsolated { WriteRequest.completed(request!, status) }
        }
        if status != 0 { Self.completed(request, status) }
    }

    /// Waits until the kernel has taken all.
    func wait() async throws { try await waiter.wait { result } }

    private static func completed(_ request: UnsafeMutablePointer<uv_write_t>, _ status: CInt) {
        let write = Unmanaged<WriteRequest>.fromOpaque(request.pointee.data).takeRetainedValue()
        request.deallocate()
        write.bytes.deallocate()
        write.onCompletion?()
        write.onCompletion = nil
        let result: Result<Void, any Error> = status == 0 ? .success(()) : .failure(LoopError(status, "write"))
        write.result = result
        write.waiter.resume(with: result)
    }
}
