public import Loop

/// Long-lived work of a process.
///
/// A service is told to stop by `stop`, not by cancelling its task: stopping in good order is work of its own (requests
/// are answered, children waited for), which a cancelled task could not do.
@OnLoop
public protocol Service: AnyObject, Sendable {
    /// What logs call it.
    var name: String { get }

    /// Does the work until it is done, or until it is stopped and everything begun is finished.
    ///
    /// - Parameter ready: to be called once, when those that need this service may start.
    /// - Throws: when the work cannot go on; the process then stops.
    func run(ready: @escaping @OnLoop () -> Void) async throws

    /// Asks `run` to return soon; called a second time, to hurry. Returns at once.
    func stop()
}

/// A service that is one piece of work between two others: it is ready when it is done.
@OnLoop
public final class Step: Service {
    public let name: String
    private let work: @OnLoop () async throws -> Void
    private let onStop: @OnLoop () -> Void

    /// - Parameters:
    ///   - onStop: lets `work` end soon, by an error if need be; not needed where the work is short.
    ///   - work: done once, when everything before it is ready.
    public init(
        _ name: String, onStop: @escaping @OnLoop () -> Void = {}, _ work: @escaping @OnLoop () async throws -> Void
    ) {
        self.name = name
        self.onStop = onStop
        self.work = work
    }

    public func run(ready: @escaping @OnLoop () -> Void) async throws {
        try await work()
        ready()
    }

    public func stop() { onStop() }
}
