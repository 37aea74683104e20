internal import Glibc

/// How a ledger is kept.
public struct LedgerConfiguration: Sendable {
    /// A segment with so many bytes is closed and the next begun; also what opening has to read again.
    public var segmentByteBound = 128 << 20
    /// A segment of that age, in seconds, is closed and the next begun.
    public var segmentSecondsBound: UInt64 = 24 * 3600
    /// A checkpoint is signed after so many records …
    public var checkpointRecords: UInt64 = 10_000
    /// … or after so many seconds, whichever comes first; never for nothing new.
    public var checkpointSeconds: UInt64 = 10
    /// Closed segments are removed, oldest first, while all segments together have more bytes.
    public var retainedByteBound: Int = .max
    /// Closed segments are removed when their last record is so many seconds old.
    public var retainedSeconds: UInt64 = .max
    /// Keys whose checkpoints are believed beside the signer's own, for when the key was changed.
    public var formerKeys: [NoteVerifier] = []
    /// Milliseconds since 1970.
    public var clock: @Sendable () -> UInt64 = {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return UInt64(time.tv_sec) * 1000 + UInt64(time.tv_nsec) / 1_000_000
    }
    /// What tests make fail.
    var calls = FileCalls()

    /// The values above.
    public init() {}
}
