internal import CLinux
internal import Glibc

/// How a process stands to the supervisor that started it.
public enum Lifecycle {
    /// The environment variable with the supervisor's process number.
    public static let supervisorVariable = "DRAWBRIDGE_SUPERVISOR"

    /// The environment variable that says how often this process has been restarted in its slot.
    public static let restartsVariable = "DRAWBRIDGE_RESTARTS"

    /// The environment variable that, set to anything, says that the installation is the demo.
    public static let demoVariable = "DRAWBRIDGE_DEMO"

    /// How often this process has been restarted in its slot.
    public static var restarts: Int { environment(restartsVariable).flatMap { Int($0) } ?? 0 }

    /// Ties this process to its supervisor; to be called first in `main`. Does nothing without a supervisor.
    ///
    /// The kernel ends this process by SIGTERM when the supervisor is gone, even by kill -9. It also leaves the
    /// terminal's process group: Ctrl-C goes to every process of the group, but it is the supervisor who stops them, in
    /// order.
    public static func dieWithParent() {
        guard let supervisor = environment(supervisorVariable).flatMap({ pid_t($0) }) else { return }
        setsid()
        _ = linux_set_parent_death_signal(SIGTERM)
        // The supervisor may have died before the kernel was asked.
        if getppid() != supervisor { exit(0) }
    }

    /// The name of a process that delivers webhooks alone, as `bridgeName`.
    public static func dispatcherName(_ number: Int) -> String { number == 0 ? "dispatcher" : "dispatcher-\(number)" }

    /// The name of a bridge, in logs and when it reports.
    ///
    /// - Parameter number: which of an installation's bridges it is, from 0.
    public static func bridgeName(_ number: Int) -> String { number == 0 ? "bridge" : "bridge-\(number)" }

    /// Lets a SIGHUP wait that comes before `ProcessSignals` can receive it; to be called in `main`, before there is
    /// another thread. It would end this process otherwise, and a supervisor sends it whenever policies change.
    public static func holdHangUp() {
        var signals = sigset_t()
        sigemptyset(&signals)
        sigaddset(&signals, SIGHUP)
        pthread_sigmask(SIG_BLOCK, &signals, nil)
    }

    static func environment(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }
}
