internal import CLibUV

/// An instant after which something must be given up: a connection's current phase, a query, a wait.
///
/// Moving it is one store, because a running timer is not touched: when the timer fires early it sleeps for the rest.
/// So a connection can set a new deadline for every request at no cost. Call `cancel` before letting go of it.
@OnLoop
public final class Deadline {
    private let timer: UnsafeMutablePointer<uv_timer_t>
    private var onExpiry: (@OnLoop () -> Void)?

    /// Milliseconds of the loop's clock; `UInt64.max` means none.
    private var instant = UInt64.max
    private var timerInstant = UInt64.max

    /// - Parameter onExpiry: called on the loop each time a set deadline passes, once for each `set`.
    public init(onExpiry: @escaping @OnLoop () -> Void) {
        self.onExpiry = onExpiry
        timer = .allocate(capacity: 1)
        uv_timer_init(LoopExecutor.shared.loop, timer)
        timer.pointee.data = Unmanaged.passRetained(self).toOpaque()
    }

    /// Lets the deadline pass `duration` from now; replaces an earlier one.
    ///
    /// Now is when the loop last looked at its sockets, so what was computed since then counts as passed.
    public func set(_ duration: Duration) {
        guard onExpiry != nil else { return }
        let (end, isOver) = now.addingReportingOverflow(duration.milliseconds)
        instant = isOver ? .max : end
        if instant < timerInstant { start() }
    }

    /// Lets no deadline pass until the next `set`.
    public func clear() { instant = .max }

    /// Ends it for good and frees the timer.
    public func cancel() {
        guard onExpiry != nil else { return }
        onExpiry = nil
        uv_close(UnsafeMutableRawPointer(timer).assumingMemoryBound(to: uv_handle_t.self)) { handle in
            // The timer's memory is freed here, and with it the reference that kept this object alive.
            Unmanaged<Deadline>.fromOpaque(handle!.pointee.data).release()
            UnsafeMutableRawPointer(handle!).assumingMemoryBound(to: uv_timer_t.self).deallocate()
        }
    }

    /// When the loop last looked at its sockets.
    private var now: UInt64 { uv_now(timer.pointee.loop) }

    private func start() {
        timerInstant = instant
        let now = now
        uv_timer_start(
            timer,
            { timer in
                let deadline = Unmanaged<Deadline>.fromOpaque(timer!.pointee.data).takeUnretainedValue()
                OnLoop.assumeIsolated { deadline.fired() }
            }, instant > now ? instant - now : 0, 0)
    }

    private func fired() {
        timerInstant = .max
        guard instant != .max else { return }
        if instant > now {
            start()
        } else {
            instant = .max
            onExpiry?()
        }
    }
}

extension Loop {
    /// Suspends for `duration`.
    ///
    /// - Throws: `CancellationError` when the task is cancelled meanwhile.
    @OnLoop
    public static func sleep(for duration: Duration) async throws {
        let signal = Signal()
        let deadline = Deadline { signal.fire() }
        // A sleep is never shorter than asked for, however long the task has computed before; and the loop's clock
        // shows only the milliseconds that are over.
        uv_update_time(LoopExecutor.shared.loop)
        deadline.set(duration + .milliseconds(1))
        defer { deadline.cancel() }
        try await signal.wait()
    }

    /// Runs `body` and cancels it when it takes longer than `duration`.
    ///
    /// What `body` returns in spite of that is returned, because it may own something (a connection).
    ///
    /// - Throws: `LoopError` with code `timedOut` when the time was up, otherwise what `body` throws.
    @OnLoop
    public static func withDeadline<Output: Sendable>(
        _ duration: Duration, _ operation: StaticString, _ body: @escaping @Sendable @OnLoop () async throws -> Output
    ) async throws -> Output {
        try await withThrowingTaskGroup(of: Output?.self) { group in
            group.addTask { try await body() }
            group.addTask {
                try await sleep(for: duration)
                return nil
            }
            let first = await group.nextResult()!
            group.cancelAll()
            if case .success(let output?) = first { return output }
            if case .success(let output?) = await group.nextResult() { return output }
            guard case .failure(let error) = first else { throw LoopError(.timedOut, operation) }
            throw error
        }
    }
}

extension Duration {
    /// Whole nanoseconds, at most 285 years; a negative duration is 0. What `Loop.monotonicNanoseconds` counts.
    public var nanoseconds: UInt64 {
        let (seconds, attoseconds) = components
        guard seconds >= 0, attoseconds >= 0 else { return 0 }
        return UInt64(min(seconds, 9_000_000_000)) * 1_000_000_000 + UInt64(attoseconds / 1_000_000_000)
    }

    /// Whole milliseconds, rounded up, so that a short wait is never none; 0 for a negative duration, and the greatest
    /// number for one that is no instant of any clock.
    var milliseconds: UInt64 {
        guard attoseconds > 0 else { return 0 }
        // 10¹⁵ is 2¹⁵ times 5¹⁵. Up to three days, what the shift leaves is divided in one word, which costs a deadline
        // as much as all the rest of it if done in two.
        if attoseconds < 1 << 78 {
            return UInt64(truncatingIfNeeded: (attoseconds + 999_999_999_999_999) >> 15) / 30_517_578_125
        }
        let (whole, rest) = attoseconds.quotientAndRemainder(dividingBy: 1_000_000_000_000_000)
        return UInt64(clamping: rest > 0 ? whole + 1 : whole)
    }
}
