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

    /// The version of the protocol that both agreed on, such as "1.3"; nil before they have.
    var protocolVersion: String? { get }
}

extension StreamSecurity {
    /// A protocol without versions.
    public var protocolVersion: String? { nil }
}

/// A connected TCP or unix-domain socket, plain or secured.
///
/// One task reads and writes. Reading fills `input`, which the user parses in place and consumes; the socket is not
/// read while more than `inputBound` bytes wait there. `write` returns when the kernel has taken everything, so no more
/// than one write's bytes are ever queued. The stream keeps itself alive until `close`.
@OnLoop
public final class Stream {
    /// Bytes that may wait unread before the socket is left alone.
    public static let inputBound = 64 << 10

    /// The peer's address, without port, as text; empty for a unix-domain socket.
    public let peerAddress: String

    private let socket: Socket
    /// Nil when the stream is closed.
    private var poller: Poller?

    private var input = InputBuffer()
    private var isReading = false
    private var end: End?
    private let reader = Waiter<Bool>()

    /// What the kernel has not taken yet.
    private var unsent: ArraySlice<UInt8> = []
    private var sendingError: (any Error)?
    private var endsWhenSent = false
    private let writer = Waiter<Void>()

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

    /// Takes over a connected socket; closes it on failure.
    init(_ socket: Socket, peer: SocketAddress) throws {
        self.socket = socket
        peerAddress = peer.host
        if !peer.isUnix { socket.sendWithoutDelay() }
        do {
            poller = try Poller(descriptor: socket.descriptor) { self.ready(for: $0) }
        } catch {
            socket.close()
            throw error
        }
    }

    private var isClosed: Bool { poller == nil }

    /// Watches for what the stream is to go on with. Reading and writing in the usual way change nothing here.
    private func watch() {
        var events: Poller.Events = []
        if isReading { events.insert(.readable) }
        if !unsent.isEmpty { events.insert(.writable) }
        poller?.watch(events)
    }

    private func ready(for events: Poller.Events) {
        // The kernel tells of a reset only once: it is the reader who must hear of it.
        if isReading, events.contains(.readable) {
            // It is left alone only now, because what one reading brought is mostly consumed before the next.
            if readableCount < Self.inputBound || reader.isWaiting { receive() } else { isReading = false }
        }
        if !unsent.isEmpty, events.contains(.writable) { sendUnsent() }
        watch()
    }

    // MARK: Reading

    /// How many bytes wait to be read.
    @inline(__always)
    public var readableCount: Int { input.count }

    /// Calls `body` with the bytes that wait to be read.
    @inline(__always)
    public func withReadable<Result, Failure: Error>(
        _ body: (Span<UInt8>) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try input.withBytes(body)
    }

    /// Drops the first `count` readable bytes.
    @inline(__always)
    public func consume(_ count: Int) { input.consume(count) }

    /// Waits until more bytes than now are readable.
    ///
    /// - Returns: false when the peer has ended its side in order.
    /// - Throws: `LoopError` when the connection breaks or was closed here; `CancellationError`.
    public func fill() async throws -> Bool {
        let before = readableCount
        return try await reader.wait {
            if readableCount > before { return .success(true) }
            if let end { return Result { try result(of: end) } }
            if isClosed { return .failure(LoopError(.closed, "read")) }
            startReading()
            return nil
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
    ///
    /// - Parameter isCut: whether the peer has got a part of something then; the connection is broken off in that case.
    public func closingOnCancellation<Output>(
        isCut: @escaping @Sendable @OnLoop () -> Bool = { false }, _ body: @OnLoop () async throws -> Output
    ) async rethrows -> Output {
        try await withTaskCancellationHandler {
            try await body()
        } onCancel: {
            Loop.perform { if isCut() { self.abort() } else { self.close() } }
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
        watch()
    }

    private func receive() {
        let before = readableCount
        var end: End?
        do {
            let isOpen = if let security { try receiveSecured(security) } else { try receivePlain() }
            if !isOpen { end = .endOfInput }
        } catch {
            end = .failure(error)
        }
        if readableCount > before { reader.resume(with: .success(true)) }
        if let end { finish(end) }
    }

    /// - Returns: whether there may be more, now or later.
    private func receivePlain() throws -> Bool {
        var arrival = try input.receive { try socket.receive(into: $0) }
        // Where the room was too small, the rest is fetched now, up to the bound.
        while arrival.fillsRoom, readableCount < Self.inputBound {
            arrival = try input.receive(room: Self.inputBound - readableCount) { try socket.receive(into: $0) }
        }
        return arrival.count != 0
    }

    private func receiveSecured(_ security: any StreamSecurity) throws -> Bool {
        try withUnsafeTemporaryAllocation(byteCount: Self.inputBound, alignment: 1) { room in
            guard let count = try socket.receive(into: room) else { return true }
            guard count > 0 else { throw LoopError(UV_ECONNRESET.rawValue, "read") }
            try decipher(UnsafeRawBufferPointer(rebasing: room[..<count]), security)
            // A peer that says goodbye may wait for an answer with its socket open, so the goodbye itself is the end.
            return !security.isClosedByPeer
        }
    }

    /// Where secured bytes are deciphered to, before they follow those that wait; empty between calls.
    private static var plaintext: [UInt8] = []

    private func decipher(_ ciphertext: UnsafeRawBufferPointer, _ security: any StreamSecurity) throws {
        var outgoing: [UInt8] = []
        // Also on failure: the alert that says why must reach the peer.
        defer {
            sendAside(outgoing)
            input.append(Self.plaintext)
            Self.plaintext.removeAll(keepingCapacity: true)
        }
        try security.receive(ciphertext, plaintext: &Self.plaintext, outgoing: &outgoing)
        // A peer that provokes answers and reads none must not fill our memory.
        guard unsent.count <= Self.securedAtOnce + Self.inputBound else { throw LoopError(.tooLarge, "answer") }
    }

    /// Lets everything pass through `security` from now on, received bytes not yet consumed included.
    ///
    /// - Throws: what `security` throws about those bytes.
    public func secure(with security: any StreamSecurity) throws {
        guard !isClosed else { throw LoopError(.closed, "secure") }
        self.security = security
        guard readableCount > 0 else { return }
        let received = withReadable { $0.withUnsafeBufferPointer { Array($0) } }
        consume(readableCount)
        try received.withUnsafeBytes { try decipher($0, security) }
        if security.isClosedByPeer { finish(.endOfInput) }
    }

    private func finish(_ end: End) {
        isReading = false
        watch()
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

    /// Tells that the kernel has not taken all of a write yet.
    public struct Remainder {
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
        return try sendPlain(bytes) ? nil : Remainder()
    }

    /// Waits until the rest of a write is sent.
    public func write(_ remainder: Remainder) async throws {
        var next: Remainder? = remainder
        while let rest = next {
            try await finishSending()
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
            if try !sendPlain(outgoing) { return Remainder(unsecured: rest) }
        } while !rest.isEmpty
        return nil
    }

    /// Gives `bytes` to the kernel; what it does not take now is sent when it does.
    ///
    /// - Returns: whether the kernel has taken all.
    @inline(__always)
    private func sendPlain(_ bytes: [UInt8]) throws -> Bool {
        if let sendingError { throw sendingError }
        guard !isClosed else { throw LoopError(.closed, "write") }
        // What waits from before goes first.
        let count = unsent.isEmpty ? try bytes.withUnsafeBytes { try socket.send($0) } : 0
        if count == bytes.count { return true }
        if unsent.isEmpty { unsent = bytes[count...] } else { unsent += bytes }
        watch()
        return false
    }

    private func sendUnsent() {
        do {
            unsent = try unsent.dropFirst(unsent.withUnsafeBytes { try socket.send($0) })
            guard unsent.isEmpty else { return }
        } catch {
            sendingError = error
        }
        unsent = []
        if endsWhenSent { socket.endOutput() }
        writer.resume(with: sendingError.map { .failure($0) } ?? .success(()))
    }

    /// Waits until nothing is unsent.
    private func finishSending() async throws {
        do {
            try await writer.wait {
                if let sendingError { return .failure(sendingError) }
                if isClosed { return .failure(LoopError(.closed, "write")) }
                return unsent.isEmpty ? .success(()) : nil
            }
        } catch is CancellationError {
            close()
            throw LoopError(.closed, "write")
        }
    }

    /// Sends what no task waits for: an answer of TLS itself.
    private func sendAside(_ bytes: [UInt8]) {
        // If the connection is broken, reading will tell.
        _ = try? sendPlain(bytes)
    }

    // MARK: Closing

    /// Closes the connection; a waiting read or write throws. Calling it again does nothing.
    public func close() {
        guard poller != nil else { return }
        sayGoodbye()
        drop()
    }

    /// Breaks the connection off, so that the peer cannot take what it has got for all there is: without a goodbye of TLS, which
    /// would say so (RFC 8446 §6.1), and, over TCP, with a reset.
    public func abort() {
        guard poller != nil else { return }
        socket.resetOnClose()
        drop()
    }

    private func drop() {
        poller?.close()
        poller = nil
        socket.close()
        isReading = false
        unsent = []
        onHangUp = nil
        reader.resume(with: .failure(LoopError(.closed, "read")))
        writer.resume(with: .failure(LoopError(.closed, "write")))
    }

    private func sayGoodbye() {
        guard let security else { return }
        var outgoing: [UInt8] = []
        security.close(outgoing: &outgoing)
        sendAside(outgoing)
    }

    /// Sends what TLS and TCP need to end our side in order, so that the peer gets the last bytes even when it still
    /// sends, then closes after at most `patience`.
    public func closeGracefully(patience: Duration = .seconds(1)) async {
        if end == nil, !isClosed {
            sayGoodbye()
            if unsent.isEmpty { socket.endOutput() } else { endsWhenSent = true }
            let deadline = Deadline { self.close() }
            deadline.set(patience)
            // RFC 9112 §9.6: reading until the peer closes keeps the kernel from resetting away our last answer.
            while (try? await fill()) == true { consume(readableCount) }
            deadline.cancel()
        }
        close()
    }
}
