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

    /// Watches for `kinds` until `close`, those that were held back until now included.
    public init(_ kinds: [Kind] = Kind.allCases) {
        for kind in kinds {
            let handle = UnsafeMutablePointer<uv_signal_t>.allocate(capacity: 1)
            uv_signal_init(LoopExecutor.shared.loop, handle)
            // Until `close`, libuv's handle keeps this object alive.
            handle.pointee.data = Unmanaged.passRetained(self).toOpaque()
            uv_signal_start(
                handle,
                { handle, number in
                    let signals = Unmanaged<ProcessSignals>.fromOpaque(handle!.pointee.data).takeUnretainedValue()
                    OnLoop.assumeIsolated {
                        signals.arrived(number)
                    }
                }, kind.rawValue)
            handles.append(handle)
        }
        var signals = sigset_t()
        sigemptyset(&signals)
        for kind in kinds { sigaddset(&signals, kind.rawValue) }
        pthread_sigmask(SIG_UNBLOCK, &signals, nil)
    }

    /// Waits for the next signal.
    public func next() async throws -> Kind {
        while received.isEmpty { try await arrival.wait() }
        return received.removeFirst()
    }

    /// Gives the signals their default effect back.
    public func close() {
        for handle in handles {
            uv_close(handle.asHandle) { handle in
                Unmanaged<ProcessSignals>.fromOpaque(handle!.pointee.data).release()
                UnsafeMutableRawPointer(handle!).deallocate()
            }
        }
        handles = []
    }

    /// As in the kernel, a signal that arrives again before it was taken is one.
    private func arrived(_ number: CInt) {
        guard let kind = Kind(rawValue: number), !received.contains(kind) else { return }
        received.append(kind)
        arrival.fire()
    }
}
