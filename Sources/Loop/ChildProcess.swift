internal import CLibUV
internal import Glibc

/// A program started by this process, watched on the loop.
@OnLoop
public final class ChildProcess {
    /// How a program ended.
    public struct Exit: Sendable, Equatable, CustomStringConvertible {
        public let status: Int64
        /// The signal that ended it, or 0.
        public let signal: Int32

        public var isSuccess: Bool { status == 0 && signal == 0 }
        public var description: String { signal == 0 ? "exit status \(status)" : "signal \(signal)" }
    }

    /// What the child gets for a descriptor.
    public enum Descriptor: Sendable {
        case null
        case inherit(Int32)
    }

    private let handle: UnsafeMutablePointer<uv_process_t>
    private var exit: Exit?
    private let ended = Signal()

    /// Starts `program`.
    ///
    /// - Parameters:
    ///   - arguments: without the program's own name.
    ///   - environment: all of it; nothing is inherited.
    ///   - descriptors: what the child finds as 0, 1, 2, ….
    /// - Throws: `LoopError` when it cannot be started.
    public init(
        _ program: String, _ arguments: [String], environment: [String: String], descriptors: [Descriptor],
        directory: String? = nil
    ) throws {
        handle = .allocate(capacity: 1)
        var options = uv_process_options_t()
        let arguments = CStrings([program] + arguments)
        let environment = CStrings(environment.map { "\($0.key)=\($0.value)" })
        let file = strdup(program)
        let directory = directory.map { strdup($0) }
        defer {
            free(file)
            free(directory ?? nil)
        }
        options.file = UnsafePointer(file)
        options.cwd = UnsafePointer(directory ?? nil)
        options.args = arguments.pointers
        options.env = environment.pointers
        var containers = descriptors.map { descriptor in
            var container = uv_stdio_container_t()
            switch descriptor {
            case .null: container.flags = UV_IGNORE
            case .inherit(let number):
                container.flags = UV_INHERIT_FD
                container.data.fd = number
            }
            return container
        }
        options.exit_cb = { handle, status, signal in
            let child = Unmanaged<ChildProcess>.fromOpaque(handle!.pointee.data).takeUnretainedValue()
            OnLoop.assumeIsolated { child.didExit(Exit(status: status, signal: signal)) }
        }
        let status = containers.withUnsafeMutableBufferPointer { containers in
            options.stdio_count = CInt(containers.count)
            options.stdio = containers.baseAddress
            // The strings must outlive the call, not only the reading of their addresses.
            return withExtendedLifetime((arguments, environment)) {
                uv_spawn(LoopExecutor.shared.loop, handle, &options)
            }
        }
        guard status == 0 else {
            uv_close(handle.asHandle) { UnsafeMutableRawPointer($0!).deallocate() }
            throw LoopError(status, "start program")
        }
        handle.pointee.data = Unmanaged.passRetained(self).toOpaque()
        processID = handle.pointee.pid
    }

    /// The system's number for it.
    public private(set) var processID: Int32 = 0

    /// Whether it still runs, as far as is known.
    public var isRunning: Bool { exit == nil }

    /// Waits for its end. One task may wait.
    public func waitForExit() async throws -> Exit {
        while exit == nil { try await ended.wait() }
        return exit!
    }

    /// Sends it a signal; does nothing when it has ended.
    public func send(signal: Int32) {
        if exit == nil { uv_process_kill(handle, signal) }
    }

    private func didExit(_ exit: Exit) {
        self.exit = exit
        ended.fire()
        uv_close(handle.asHandle) { handle in
            Unmanaged<ChildProcess>.fromOpaque(handle!.pointee.data).release()
            UnsafeMutableRawPointer(handle!).deallocate()
        }
    }
}

/// A null-ended array of C strings.
private final class CStrings {
    let pointers: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>
    private let count: Int

    init(_ strings: [String]) {
        count = strings.count
        pointers = .allocate(capacity: count + 1)
        for (index, string) in strings.enumerated() { pointers[index] = strdup(string) }
        pointers[count] = nil
    }

    deinit {
        for index in 0..<count { free(pointers[index]) }
        pointers.deallocate()
    }
}
