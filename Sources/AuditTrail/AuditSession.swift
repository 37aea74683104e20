internal import Glibc

/// What a command is run with: where it reads, where it writes, what time it is.
public struct AuditSession {
    /// The directory of the installation, `$DRAWBRIDGE_HOME`.
    public var home: String
    /// The version that exports name.
    public var release: String
    /// In milliseconds since 1970.
    var now: Int64
    /// Where what was asked for goes.
    var output: TrailOutput
    /// Where everything else goes: mistakes, progress.
    var remarks: TrailOutput
    /// Whether somebody watches who wants to know how far it has come.
    var showsProgress: Bool
    /// Called before a command begins that only ends when it is told to.
    var takeSignals: () -> Void = {}
    /// Waits a moment for records to come; false when nobody reads any more.
    var wait: () -> Bool

    /// The session of a process: standard output and error, until Ctrl-C.
    public static func current(home: String, release: String) -> AuditSession {
        // A closed pipe is found by `write`, and is no error.
        signal(SIGPIPE, SIG_IGN)
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return AuditSession(
            home: home, release: release, now: Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000,
            output: TrailOutput(descriptor: STDOUT_FILENO), remarks: TrailOutput(descriptor: STDERR_FILENO),
            showsProgress: isatty(STDERR_FILENO) == 1, takeSignals: endOnSignal, wait: waitForReader)
    }

    /// A fifth of a second, or until nobody reads standard output.
    private static func waitForReader() -> Bool {
        var output = pollfd(fd: STDOUT_FILENO, events: 0, revents: 0)
        return poll(&output, 1, 200) <= 0 || output.revents & Int16(POLLERR | POLLHUP | POLLNVAL) == 0
    }

    /// Lets Ctrl-C and SIGTERM end the process as asked for, at once and with status 0.
    private static func endOnSignal() {
        for number in [SIGINT, SIGTERM] { signal(number) { _ in _exit(0) } }
    }
}
