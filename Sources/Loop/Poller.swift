internal import CLibUV

/// Readiness of a descriptor: a socket of this module, or one that a C library owns (libpq, hiredis).
///
/// Close it before the descriptor, which may follow at once. Until then it keeps itself alive, and what `onEvents`
/// holds.
@OnLoop
public final class Poller {
    public struct Events: OptionSet, Sendable {
        public let rawValue: Int32

        public init(rawValue: Int32) { self.rawValue = rawValue }

        public static let readable = Events(rawValue: Int32(UV_READABLE.rawValue))
        public static let writable = Events(rawValue: Int32(UV_WRITABLE.rawValue))
    }

    private let handle: UnsafeMutablePointer<uv_poll_t>
    private var isClosed = false
    private var watched: Events = []
    private let onEvents: @OnLoop (Events) -> Void

    /// - Parameter onEvents: called on the loop when something watched for is so. An error counts as everything, and
    ///   nothing more is watched for then.
    public init(descriptor: Int32, onEvents: @escaping @OnLoop (Events) -> Void) throws {
        self.onEvents = onEvents
        handle = .allocate(capacity: 1)
        let status = uv_poll_init(LoopExecutor.shared.loop, handle, descriptor)
        guard status == 0 else {
            handle.deallocate()
            throw LoopError(status, "poll")
        }
        handle.pointee.data = Unmanaged.passRetained(self).toOpaque()
    }

    /// Watches for `events` from now on; an empty set watches for nothing. A change costs two system calls.
    public func watch(_ events: Events) {
        guard !isClosed, events != watched else { return }
        watched = events
        guard !events.isEmpty else {
            uv_poll_stop(handle)
            return
        }
        uv_poll_start(handle, events.rawValue) { handle, status, events in
            let poller = Unmanaged<Poller>.fromOpaque(handle!.pointee.data).takeUnretainedValue()
            OnLoop.assumeIsolated((poller, status < 0 ? nil : Events(rawValue: events))) { $0.happened($1) }
        }
    }

    /// - Parameter events: nil for an error.
    private func happened(_ events: Events?) {
        // libuv has stopped polling on an error; the owner finds out what it was by using the descriptor.
        if events == nil { watched = [] }
        onEvents(events ?? [.readable, .writable])
    }

    /// Watches for nothing any more.
    public func close() {
        guard !isClosed else { return }
        isClosed = true
        uv_close(handle.asHandle) { handle in
            Unmanaged<Poller>.fromOpaque(handle!.pointee.data).release()
            UnsafeMutableRawPointer(handle!).deallocate()
        }
    }
}
