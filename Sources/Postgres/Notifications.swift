public import Loop
internal import Telemetry

/// What NOTIFY sent.
public struct Notification: Sendable, Equatable {
    public let channel: String
    public let payload: String

    public init(channel: String, payload: String) {
        self.channel = channel
        self.payload = payload
    }
}

/// A channel of LISTEN and NOTIFY.
public struct Channel: Sendable {
    let name: StaticString

    /// - Parameter name: lower-case letters, digits and underscores, up to 63: it becomes part of a statement.
    public init(_ name: StaticString) {
        let isPlain = name.description.utf8.allSatisfy {
            (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0) || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0)
                || $0 == UInt8(ascii: "_")
        }
        precondition(isPlain && (1...63).contains(name.utf8CodeUnitCount), "a channel cannot be named \(name)")
        self.name = name
    }

    /// LISTEN takes no parameters, so its text is put together, of constants only.
    var listen: String { "LISTEN \"\(name)\"" }
}

/// Listens on a connection of its own, which it opens again whenever it breaks.
///
/// One task calls `next` over and over; while it is busy, notifications wait in a bounded buffer.
@OnLoop
public final class Notifications {
    public enum Event: Sendable, Equatable {
        /// Notifications before this may have been missed: the first event, and after each broken connection or
        /// overflow.
        case gap
        case notification(Notification)
    }

    /// Notifications that may wait for `next`.
    public static let bufferBound = 1024

    private let configuration: DatabaseConfiguration
    private let channels: [Channel]
    private var connection: Connection?
    private var buffer = FIFO<Notification>()
    private(set) var hasGap = false
    private var backoff: Backoff
    private var rotation = 0
    private let arrival = Signal()
    private var isClosed = false

    /// - Parameter configuration: of which only what concerns opening a connection is used.
    public init(on channels: [Channel], _ configuration: DatabaseConfiguration) {
        self.configuration = configuration
        self.channels = channels
        backoff = configuration.backoff
    }

    /// Notifications that wait for `next`.
    var waitingCount: Int { buffer.count }

    /// Waits for the next event; connects first where necessary, trying until it succeeds.
    ///
    /// - Throws: `PostgresError` `cancelled` when the task is cancelled, `misuse` after `close`.
    public func next() async throws -> Event {
        while true {
            if let notification = buffer.popFirst() { return .notification(notification) }
            if hasGap, connection != nil {
                hasGap = false
                return .gap
            }
            guard !isClosed else { throw PostgresError(.misuse, "the notifications were closed") }
            do {
                if connection == nil { try await connect() } else { try await arrival.wait() }
            } catch is CancellationError {
                throw PostgresError(.cancelled, "the calling task was cancelled")
            }
        }
    }

    /// Ends the connection; a waiting `next` throws.
    public func close() {
        isClosed = true
        connection?.close(nil)
        arrival.fire()
    }

    private func connect() async throws {
        do {
            let connection = try await Connection.open(configuration, rotation: rotation)
            connection.onNotification = { [weak self] in self?.take($0) }
            try await listen(on: connection)
            guard !isClosed else { return connection.close(nil) }
            connection.owner = self
            self.connection = connection
            hasGap = true
            backoff.reset()
        } catch {
            try Task.checkCancellation()
            if (error as? PostgresError)?.code == .timedOut { rotation += 1 }
            Log.warning(
                "cannot listen to the database",
                ["database": .init(configuration.name), "error": .init(error: error)])
            try await Loop.sleep(for: backoff.next())
        }
    }

    private func listen(on connection: Connection) async throws {
        let expires = Loop.monotonicNanoseconds + configuration.connectDeadline.nanoseconds
        let unit = Unit(channels.map { .listen($0) }, expires: expires)
        connection.send(unit)
        do {
            _ = try await unit.answer()
        } catch {
            connection.close(nil)
            throw error
        }
    }

    private func take(_ notification: Notification) {
        if buffer.count < Self.bufferBound {
            buffer.append(notification)
        } else {
            hasGap = true
        }
        arrival.fire()
    }
}

extension Notifications: ConnectionOwner {
    func connectionProgressed(_ connection: Connection) {}

    func connectionEnded(_ connection: Connection, wasBroken: Bool) {
        self.connection = nil
        hasGap = true
        arrival.fire()
    }

    func `repeat`(_ unit: Unit) { unit.finish() }

    func cancel(_ handle: CancelHandle) {}
}

extension Database {
    /// Listens on `channels`, on a connection that is not one of the pool's.
    public func notifications(on channels: Channel...) -> Notifications { Notifications(on: channels, configuration) }
}
