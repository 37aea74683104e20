import Glibc
import Loop
import Testing

/// A wall clock for processes that the test starts; see `Tests/ShiftedClock`.
@OnLoop
struct ShiftedClock {
    private let file: String

    /// - Parameter directory: where its file is made.
    init(_ directory: String) throws {
        file = "\(directory)/clock"
        // Whoever runs as another user reads it, too.
        Files.write(String(repeating: "\0", count: 8), to: file)
        try #require(chmod(file, 0o644) == 0)
    }

    /// What the processes are to find in their environment.
    var environment: [String: String] {
        ["LD_PRELOAD": "\(Node.programs)/libShiftedClock.so", "SHIFTED_CLOCK": file]
    }

    /// Sets it; from there it goes on as every clock does.
    ///
    /// - Parameter instant: seconds since 1970.
    func set(_ instant: Int64) throws {
        let shift = instant - Int64(Loop.unixTime)
        let descriptor = open(file, O_WRONLY | O_CLOEXEC)
        try #require(descriptor >= 0)
        defer { close(descriptor) }
        // In place: the processes have it mapped.
        try #require(withUnsafeBytes(of: shift) { pwrite(descriptor, $0.baseAddress!, $0.count, 0) } == 8)
    }
}
