internal import Glibc

/// How many files, connections above all, a process may have open at once (`RLIMIT_NOFILE`).
public enum OpenFiles {
    /// The most that this process may allow itself.
    public static var hardLimit: Int { Int(clamping: limits.rlim_max) }

    /// Lets this process, and those it starts from now on, have at least `count` files open.
    ///
    /// Linux starts most programs with 1024, the hard limit being far higher, for the sake of programs that use
    /// `select`.
    ///
    /// - Returns: how many they may, which is less where the hard limit is.
    @discardableResult
    public static func allow(_ count: Int) -> Int {
        var limits = limits
        if limits.rlim_cur < rlim_t(count) {
            limits.rlim_cur = min(rlim_t(count), limits.rlim_max)
            setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limits)
        }
        return Int(clamping: Self.limits.rlim_cur)
    }

    private static var limits: rlimit {
        var limits = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limits)
        return limits
    }
}
