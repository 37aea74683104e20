internal import CLibUV
internal import Glibc

/// Signals sent to this process, received on the loop instead of ending it.
@OnLoop
public final class ProcessSignals {
    /// The signals a long-running process answers.
    public enum Kind: Int32, Sendable, CaseIterable {
        case hangUp = 1
        case interrupt = 2
        case terminate = 15
    }

    private var handles: [UnsafeMutablePointer<uv_signal_t>] = []
    private var received: [Kind] = []
    private let arrival = Signal()

    /// Watches for `kinds`, and ignores SIGPIPE: a write to a closed socket is an error where it happens.
    public init(_ kinds: [Kind] = Kind.allCases) {
        signal(SIGPIPE, SIG_IGN)
        for kind in kinds {
            let handle = UnsafeMutablePointer<uv_signal_t>.allocate(capacity: 1)
            uv_signal_init(LoopExecutor.shared.loop, handle)
            handle.pointee.data = Unmanaged.passUnretained(self).toOpaque()
            uv_signal_start(
                handle,
                { handle, number in
                    let signals = Unmanaged<ProcessSignals>.fromOpaque(handle!.pointee.data).takeUnretainedValue()
                    OnLoop.assumeIsolated {
                        if let kind = Kind(rawValue: number) { signals.received.append(kind) }
                        signals.arrival.fire()
                    }
                    LoopExecutor.shared.drain()
                }, kind.rawValue)
            handles.append(handle)
        }
    }

    /// Waits for the next signal.
    public func next() async throws -> Kind {
        while received.isEmpty { try await arrival.wait() }
        return received.removeFirst()
    }

    /// Gives the signals their default effect back.
    public func close() {
        for handle in handles { uv_close(handle.asHandle) { UnsafeMutableRawPointer($0!).deallocate() } }
        handles = []
    }
}
