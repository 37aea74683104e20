internal import CHiredis
internal import Loop

/// One connection to Redis: commands are sent at once and answered in order. It ends at the first sign of trouble.
@OnLoop
final class RedisConnection {
    /// An answer, copied out of hiredis.
    enum Reply: Sendable {
        case integers([Int64])
        case text(String)
        case error(String)
        case nothing
        case other
    }

    private var context: UnsafeMutablePointer<redisAsyncContext>?
    private var poller: Poller?
    private var watched: Poller.Events = []
    private var deadline: Deadline?
    /// When each command under way must be answered, in the order they were sent; and how many are.
    private var deadlines: [UInt64] = []
    private var answered = 0
    private var reason = RateLimitError(.unavailable, "the connection to Redis ended")

    /// Fired when the connection has ended.
    let ended = Signal()
    var isOpen: Bool { context != nil }
    var pendingCount: Int { deadlines.count - answered }

    /// Begins to connect; the first command's answer tells whether it worked.
    init(_ endpoint: RedisConfiguration.Endpoint) throws {
        let context =
            switch endpoint {
            case .unix(let path): redisAsyncConnectUnix(path)
            case .tcp(let address, let port): redisAsyncConnect(address, CInt(port))
            }
        guard let context else { throw RateLimitError(.unavailable, "no memory for a connection") }
        guard context.pointee.err == 0 else {
            defer { redisAsyncFree(context) }
            throw RateLimitError(.unavailable, String(cString: context.pointee.errstr))
        }
        do {
            poller = try Poller(descriptor: context.pointee.c.fd) { [weak self] in self?.ready($0) }
        } catch {
            redisAsyncFree(context)
            throw error
        }
        self.context = context
        deadline = Deadline { [weak self] in self?.checkDeadlines() }
        attach(context)
    }

    /// Lets hiredis say what it waits for. It calls only from within our calls, so always on the loop.
    private func attach(_ context: UnsafeMutablePointer<redisAsyncContext>) {
        context.pointee.ev.data = Unmanaged.passRetained(self).toOpaque()
        context.pointee.ev.addRead = { RedisConnection.of($0).watch { $0.insert(.readable) } }
        context.pointee.ev.delRead = { RedisConnection.of($0).watch { $0.remove(.readable) } }
        context.pointee.ev.addWrite = { RedisConnection.of($0).watch { $0.insert(.writable) } }
        context.pointee.ev.delWrite = { RedisConnection.of($0).watch { $0.remove(.writable) } }
        // hiredis is about to free the context, whatever the reason; the commands under way have been called back.
        context.pointee.ev.cleanup = { data in
            RedisConnection.of(data).cleanUp()
            Unmanaged<RedisConnection>.fromOpaque(data!).release()
        }
        // The socket is writable as soon as it is connected.
        watch { $0.insert(.writable) }
    }

    private static func of(_ data: UnsafeMutableRawPointer?) -> RedisConnection {
        Unmanaged<RedisConnection>.fromOpaque(data!).takeUnretainedValue()
    }

    private func watch(_ change: (inout Poller.Events) -> Void) {
        change(&watched)
        poller?.watch(watched)
    }

    private func ready(_ events: Poller.Events) {
        if events.contains(.readable), let context { redisAsyncHandleRead(context) }
        // Reading may have freed it.
        if events.contains(.writable), let context { redisAsyncHandleWrite(context) }
        poller?.watch(watched)
    }

    private func cleanUp() {
        if let context, context.pointee.err != 0, let message = context.pointee.errstr {
            reason = RateLimitError(.unavailable, String(cString: message))
        }
        context = nil
        poller?.close()
        poller = nil
        deadline?.cancel()
        deadline = nil
        ended.fire()
    }

    /// Ends it; commands under way fail.
    func close(_ error: RateLimitError? = nil) {
        guard let context else { return }
        if let error { reason = error }
        redisAsyncFree(context)
    }

    /// Sends a command and waits for its answer.
    func call(_ arguments: [String], within duration: Duration) async throws -> Reply {
        try await withUnsafeThrowingContinuation { continuation in
            guard let context else { return continuation.resume(throwing: reason) }
            let call = Unmanaged.passRetained(Call(self, continuation)).toOpaque()
            let texts = arguments.map { Array($0.utf8CString) }
            let lengths = texts.map { $0.count - 1 }
            let status = withPointers(texts) { pointers in
                redisAsyncCommandArgv(
                    context,
                    { _, reply, call in
                        let call = Unmanaged<Call>.fromOpaque(call!).takeRetainedValue()
                        call.connection.answer(call, reply?.assumingMemoryBound(to: redisReply.self))
                    }, call, CInt(texts.count), pointers, lengths)
            }
            guard status == REDIS_OK else {
                Unmanaged<Call>.fromOpaque(call).release()
                return continuation.resume(throwing: reason)
            }
            deadlines.append(Loop.monotonicNanoseconds &+ duration.nanoseconds)
            if pendingCount == 1 { deadline?.set(duration) }
        }
    }

    private final class Call {
        let connection: RedisConnection
        let continuation: UnsafeContinuation<Reply, any Error>

        init(_ connection: RedisConnection, _ continuation: UnsafeContinuation<Reply, any Error>) {
            self.connection = connection
            self.continuation = continuation
        }
    }

    /// Without a reply the connection has ended.
    private func answer(_ call: Call, _ reply: UnsafeMutablePointer<redisReply>?) {
        answered += 1
        if answered == deadlines.count || answered >= 1024 {
            deadlines.removeFirst(answered)
            answered = 0
        }
        guard let reply else {
            if let context, context.pointee.err != 0, let message = context.pointee.errstr {
                return call.continuation.resume(throwing: RateLimitError(.unavailable, String(cString: message)))
            }
            return call.continuation.resume(throwing: reason)
        }
        call.continuation.resume(returning: Self.copy(reply.pointee))
    }

    private static func copy(_ reply: redisReply) -> Reply {
        switch reply.type {
        case REDIS_REPLY_STATUS, REDIS_REPLY_STRING: .text(String(cString: reply.str))
        case REDIS_REPLY_ERROR: .error(String(cString: reply.str))
        case REDIS_REPLY_NIL: .nothing
        case REDIS_REPLY_ARRAY:
            .integers(
                (0..<Int(reply.elements)).compactMap { index in
                    guard let element = reply.element[index], element.pointee.type == REDIS_REPLY_INTEGER else {
                        return nil
                    }
                    return element.pointee.integer
                })
        default: .other
        }
    }

    private func checkDeadlines() {
        guard pendingCount > 0 else { return }
        let (first, now) = (deadlines[answered], Loop.monotonicNanoseconds)
        if first <= now { return close(RateLimitError(.timedOut, "Redis does not answer in time")) }
        deadline?.set(.nanoseconds(Int64(clamping: first - now)))
    }
}

/// Calls `body` with the texts as C strings' pointers.
private func withPointers(_ texts: [[CChar]], _ body: (UnsafeMutablePointer<UnsafePointer<CChar>?>) -> CInt) -> CInt {
    let bytes = texts.flatMap { $0 }
    return bytes.withUnsafeBufferPointer { bytes in
        var pointers: [UnsafePointer<CChar>?] = []
        var offset = 0
        for text in texts {
            pointers.append(bytes.baseAddress! + offset)
            offset += text.count
        }
        return pointers.withUnsafeMutableBufferPointer { body($0.baseAddress!) }
    }
}
