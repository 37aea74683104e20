internal import Glibc
public import Lifecycle
public import Loop
internal import Telemetry

/// A log file that another program appends to, kept from growing without end: when it is large it becomes `….1`, in
/// place of the one before, and is begun anew.
@OnLoop
public final class BoundedLog: Service {
    /// Bytes after which it is begun anew; twice as many are on disk at most, and what comes between two looks.
    static let bound: off_t = 16 << 20
    private let interval: Duration

    public let name = "postgresql.log"
    let path: String
    /// For the program to inherit; appends.
    let descriptor: Int32
    private let stopped = Signal()

    init(path: String, interval: Duration = .seconds(60)) throws {
        self.path = path
        self.interval = interval
        descriptor = try Self.open(path)
    }

    nonisolated static func open(_ path: String) throws -> Int32 {
        guard let descriptor = try File.open(path, O_RDWR | O_CREAT | O_APPEND, mode: 0o600, ownership: .own) else {
            throw File.failure(path)
        }
        return descriptor
    }

    deinit { close(descriptor) }

    /// Looks at the file now and every minute.
    public func run(ready: @escaping @OnLoop () -> Void) async throws {
        ready()
        let deadline = Deadline { [stopped] in stopped.fire() }
        defer { deadline.cancel() }
        while !isStopping {
            // A full disk is no reason to stop anything: at the next look there may be room.
            do { try keepBound(Self.bound) } catch {
                Log.warning("log is not kept short", ["file": .string(path), "error": Log.Value(error: error)])
            }
            deadline.set(interval)
            try await stopped.wait()
        }
    }

    private var isStopping = false

    /// Ends `run`.
    public func stop() {
        isStopping = true
        stopped.fire()
    }

    /// The program goes on writing to the same file, which it appends to; so it is copied and emptied, not renamed.
    func keepBound(_ bound: off_t) throws {
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_size > bound else { return }
        lseek(descriptor, 0, SEEK_SET)
        try File.write(try File.readAll(descriptor, path), to: "\(path).1", mode: 0o600)
        ftruncate(descriptor, 0)
    }
}
