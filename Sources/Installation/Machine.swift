internal import Glibc

/// What the machine has.
public enum Machine {
    /// Processors in use, each of which can run a gateway worker; at least 1.
    public static var processors: Int { max(1, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN)))) }
}
