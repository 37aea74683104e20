internal import CLibUV

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
    private let description: StreamDescription
    private var input: [UInt8] = []
    private var inputStart = 0

    private var reader: UnsafeContinuation<Bool, any Error>?
    private var writer: WriteRequest?
    private var isReading = false
    private var isClosed = false
    private var end: End?

    /// Why nothing more can be read.
    private enum End {
        case endOfInput
        case failure(any Error)
    }

    /// Set before the first read to let everything pass through it.
    public var security: (any StreamSecurity)?

    /// Called once, when the peer closes or breaks the connection while nobody reads.
    public var onHangUp: (@OnLoop () -> Void)?

    init(_ handle: UnsafeMutablePointer<uv_stream_t>, _ description: StreamDescription) {
        self.handle = handle
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
        if let end { return try result(of: end) }
        guard !isClosed else { throw LoopError(.closed, "read") }
        precondition(reader == nil, "one task at a time may read a stream")
        startReading()
        return try await withTaskCancellationHandler {
            try await withUnsafeThrowingContinuation { continuation in
                if Task.isCancelled {
                    continuation.resume(throwing: CancellationError())
                } else {
                    reader = continuation
                }
            }
        } onCancel: {
            Loop.perform { self.resumeReader(.failure(CancellationError())) }
        }
    }

    /// Lets a waiting `fill` throw `error`; the connection stays as it is. Does nothing when nobody waits.
    public func interruptRead(_ error: any Error) { resumeReader(.failure(error)) }

    /// Whether the peer has ended or broken the connection, as far as is known.
    public var isEnded: Bool { end != nil || isClosed }

    /// Reads ahead while the user is busy, so that a hang-up is noticed.
    public func startReading() {
        guard !isReading, !isClosed, end == nil else { return }
        isReading = true
        uv_read_start(
            handle,
            { _, _, buffer in
                OnLoop.assumeIsolated {
                    buffer!.pointee = uv_buf_init(Stream.scratch, CUnsignedInt(Stream.scratchCount))
                }
            },
            { handle, count, _ in
                let stream = Unmanaged<Stream>.fromOpaque(handle!.pointee.data).takeUnretainedValue()
                OnLoop.assumeIsolated { stream.didRead(count) }
                LoopExecutor.shared.drain()
            })
    }

    /// Where libuv puts what it reads, for every stream: the bytes are moved on before the callback returns.
    private static let scratchCount = 64 << 10
    private static let scratch = UnsafeMutablePointer<CChar>.allocate(capacity: scratchCount)

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
        if let security {
            do { try receive(received, through: security) } catch { return finish(.failure(error)) }
            if readableCount == 0 { return security.isClosedByPeer ? finish(.endOfInput) : () }
        } else {
            input.append(contentsOf: received)
        }
        if readableCount >= Self.inputBound { stopReading() }
        resumeReader(.success(true))
    }

    private func receive(_ ciphertext: UnsafeRawBufferPointer, through security: any StreamSecurity) throws {
        var outgoing: [UInt8] = []
        defer {
            // A handshake's answer or an alert: a few hundred bytes that wait for nobody.
            if !outgoing.isEmpty, !isClosed { WriteRequest(outgoing, from: 0, continuation: nil).submit(on: handle) }
        }
        try security.receive(ciphertext, plaintext: &input, outgoing: &outgoing)
    }

    private func stopReading() {
        guard isReading else { return }
        isReading = false
        uv_read_stop(handle)
    }

    private func finish(_ end: End) {
        stopReading()
        self.end = end
        if reader != nil {
            resumeReader(Result { try result(of: end) })
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

    private func resumeReader(_ result: Result<Bool, any Error>) {
        guard let reader else { return }
        self.reader = nil
        reader.resume(with: result)
    }

    // MARK: Writing

    /// Sends `bytes`; returns when the kernel has taken them all.
    ///
    /// - Throws: `LoopError` when the connection breaks or is closed meanwhile.
    @inline(__always)
    public func write(_ bytes: [UInt8]) async throws {
        if security == nil {
            let sent = try tryWrite(bytes)
            if sent == bytes.count { return }
            try await queue(bytes, from: sent)
        } else {
            try await writeSecured(bytes)
        }
    }

    private func writeSecured(_ bytes: [UInt8]) async throws {
        guard !isClosed, let security else { throw LoopError(.closed, "write") }
        var outgoing: [UInt8] = []
        outgoing.reserveCapacity(bytes.count + 128)
        try bytes.withUnsafeBytes { try security.send($0, outgoing: &outgoing) }
        let sent = try tryWrite(outgoing)
        if sent < outgoing.count { try await queue(outgoing, from: sent) }
    }

    private func tryWrite(_ bytes: [UInt8]) throws -> Int {
        guard !isClosed else { throw LoopError(.closed, "write") }
        guard !bytes.isEmpty else { return 0 }
        let status = bytes.withUnsafeBytes { bytes in
            var buffer = uv_buf_init(
                UnsafeMutablePointer(mutating: bytes.baseAddress!.assumingMemoryBound(to: CChar.self)),
                CUnsignedInt(bytes.count))
            return uv_try_write(handle, &buffer, 1)
        }
        if status == UV_EAGAIN.rawValue { return 0 }
        return Int(try check(status, "write"))
    }

    private func queue(_ bytes: [UInt8], from start: Int) async throws {
        precondition(writer == nil, "one task at a time may write a stream")
        defer { writer = nil }
        try await withTaskCancellationHandler {
            try await withUnsafeThrowingContinuation { continuation in
                let request = WriteRequest(bytes, from: start, continuation: continuation)
                writer = request
                request.submit(on: handle)
            }
        } onCancel: {
            // A half-sent message cannot be taken back: the connection goes with it.
            Loop.perform { self.close() }
        }
    }

    // MARK: Closing

    /// Closes the connection; a waiting read or write throws. Calling it again does nothing.
    public func close() {
        guard !isClosed else { return }
        if let security {
            var outgoing: [UInt8] = []
            security.close(outgoing: &outgoing)
            if writer == nil { _ = try? tryWrite(outgoing) }
        }
        isClosed = true
        isReading = false
        onHangUp = nil
        uv_close(handle.asHandle) { handle in
            Unmanaged<Stream>.fromOpaque(handle!.pointee.data).release()
            UnsafeMutableRawPointer(handle!).deallocate()
        }
        resumeReader(.failure(LoopError(.closed, "read")))
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
            _ = try? tryWrite(outgoing)
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
private final class WriteRequest {
    private let request = UnsafeMutablePointer<uv_write_t>.allocate(capacity: 1)
    private let bytes: UnsafeMutableBufferPointer<UInt8>
    private var continuation: UnsafeContinuation<Void, any Error>?

    init(_ bytes: [UInt8], from start: Int, continuation: UnsafeContinuation<Void, any Error>?) {
        self.bytes = .allocate(capacity: bytes.count - start)
        _ = self.bytes.initialize(from: bytes[start...])
        self.continuation = continuation
    }

    deinit {
        request.deallocate()
        bytes.deallocate()
    }

    func submit(on handle: UnsafeMutablePointer<uv_stream_t>) {
        request.pointee.data = Unmanaged.passRetained(self).toOpaque()
        var buffer = uv_buf_init(
            UnsafeMutableRawPointer(bytes.baseAddress)?.assumingMemoryBound(to: CChar.self), CUnsignedInt(bytes.count))
        let status = uv_write(request, handle, &buffer, 1) { request, status in
            Unmanaged<WriteRequest>.fromOpaque(request!.pointee.data).takeRetainedValue().finish(status)
            LoopExecutor.shared.drain()
        }
        if status != 0 { Unmanaged<WriteRequest>.fromOpaque(request.pointee.data).takeRetainedValue().finish(status) }
    }

    private func finish(_ status: CInt) {
        let continuation = self.continuation
        self.continuation = nil
        if status == 0 {
            continuation?.resume()
        } else {
            continuation?.resume(throwing: LoopError(status, "write"))
        }
    }
}
