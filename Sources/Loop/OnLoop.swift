/// The process's event loop as a global actor.
///
/// Everything marked `@OnLoop` runs on the one thread that runs libuv, so request-path state needs no lock and the
/// compiler proves it. See `LoopExecutor` for how jobs reach that thread.
@globalActor
public actor OnLoop {
    public static let shared = OnLoop()

    /// Asked for at every change from one asynchronous function to another.
    public nonisolated let unownedExecutor: UnownedSerialExecutor

    private init() { unownedExecutor = LoopExecutor.shared.asUnownedSerialExecutor() }

    /// Runs `body` as code isolated to the loop, from a C callback that libuv, or a library called on the loop, is known to
    /// call on the loop's thread.
    ///
    /// Traps when called on another thread.
    @inline(__always)
    public nonisolated static func assumeIsolated<Result>(_ body: @OnLoop () throws -> Result) rethrows -> Result {
        precondition(LoopExecutor.shared.isOnLoopThread, "called off the loop's thread")
        // The same re-typing as the standard library's `MainActor.assumeIsolated`: global-actor isolation is no part
        // of a function value's representation.
        return try withoutActuallyEscaping(body) { escaping in
            try unsafeBitCast(escaping, to: (() throws -> Result).self)()
        }
    }

    /// The same for callbacks that come with every read: `body` captures nothing, but is given `argument`, so that no
    /// closure is put on the heap for it.
    @inline(__always)
    nonisolated static func assumeIsolated<Argument>(
        _ argument: Argument, _ body: @escaping @OnLoop (Argument) -> Void
    ) {
        precondition(LoopExecutor.shared.isOnLoopThread, "called off the loop's thread")
        unsafeBitCast(body, to: ((Argument) -> Void).self)(argument)
    }
}
