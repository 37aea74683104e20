internal import CLinux

/// Two names that change what they stand for, in one step (`renameat2(2)` with `RENAME_EXCHANGE`).
public enum FileExchange {
    /// Exchanges what two paths name; false where that is not possible, and then `errno` says why.
    public static func exchange(_ left: String, _ right: String) -> Bool { linux_exchange(left, right) == 0 }
}
