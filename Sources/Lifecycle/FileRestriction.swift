internal import CLinux
internal import Glibc
internal import Telemetry

/// Takes from this process the right to change files (Landlock, Linux 5.13 and later): not even root, or somebody who
/// has taken the process over, gets it back.
public enum FileRestriction {
    /// Lets this process make, change and remove files beneath some directories only. Descriptors that are open
    /// already, and sockets, stay as they are. To be called in `main`, before there is a second thread.
    ///
    /// Where the kernel cannot do it, the log says so and nothing changes.
    ///
    /// - Returns: whether it holds from now on.
    @discardableResult
    public static func allowWriting(beneath directories: [String]) -> Bool {
        let ruleset = linux_landlock_create_ruleset()
        guard ruleset >= 0 else { return fail() }
        defer { close(ruleset) }
        for path in directories {
            let directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
            guard directory >= 0 else { return fail() }
            defer { close(directory) }
            guard linux_landlock_allow_writing(ruleset, directory) == 0 else { return fail() }
        }
        guard linux_landlock_restrict_self(ruleset) == 0 else { return fail() }
        return true
    }

    private static func fail() -> Bool {
        Log.warning(
            "this process keeps the right to change files", ["error": .init(String(cString: strerror(errno)))])
        return false
    }
}
