/// How far a log has been read whose rows get their numbers before they are committed.
///
/// A number that is missing below the highest seen was given to a transaction that still runs, and its row may yet come, or
/// to one that was taken back, and it never will. Which of the two is known once every transaction has ended that had begun
/// when the number was first missed: PostgreSQL's numbers of transactions tell that, so no row is lost however long its
/// transaction takes, and nothing is waited for longer. A reader that has missed numbers takes a transaction's number of its
/// own then: whoever has one of them has a lower one. (The upper end of a snapshot would not do: it is one more than the last
/// transaction that has *ended*, and those that still run may lie above it.
/// https://www.postgresql.org/docs/15/functions-info.html#FUNCTIONS-PG-SNAPSHOT)
///
/// It holds for logs that triggers write: their transaction has its own number when it takes one for the row.
public struct ChangeLogPosition: Sendable, Equatable {
    /// Numbers of rows.
    public typealias Numbers = ClosedRange<Int64>

    /// Numbers that were missed together.
    private struct Gap: Sendable, Equatable {
        var numbers: Numbers
        /// They can no longer come when every transaction before this one has ended; nil until that is known.
        var until: UInt64?
    }

    /// The highest number seen.
    public private(set) var highest: Int64
    /// What tells the row with the highest number from any other that may get its number: after a restore, or a failover
    /// that lost it. Nil where none was seen.
    public var mark: String?
    /// In order.
    private var gaps: [Gap] = []

    /// At a number up to which everything has been read.
    public init(after number: Int64) { highest = number }

    /// Everything up to here has been read or cannot come any more: where to go on after a restart.
    public var resumePoint: Int64 { gaps.first.map { $0.numbers.lowerBound - 1 } ?? highest }

    /// The numbers to look for beside those above `highest`.
    public var missing: [Numbers] { gaps.map(\.numbers) }

    /// Whether numbers were missed of which it is not known yet who may have them: `bound` is to be called.
    public var isUnbound: Bool { gaps.contains { $0.until == nil } }

    /// Notes what one reading has found.
    ///
    /// - Parameters:
    ///   - numbers: of the rows found, in order: all that the reading has of those missing or above `highest`, or the first
    ///     of them.
    ///   - isComplete: whether it is all of them.
    ///   - firstRunning: every earlier transaction had ended when it was read: `pg_snapshot_xmin`.
    public mutating func advance(_ numbers: [Int64], isComplete: Bool, firstRunning: UInt64) {
        for number in numbers {
            if number > highest {
                if number > highest + 1 { gaps.append(Gap(numbers: highest + 1...number - 1)) }
                highest = number
            } else {
                fill(number)
            }
        }
        // Beyond the last row of an incomplete reading nothing has been looked for.
        let end = isComplete ? Int64.max : numbers.last ?? .min
        gaps.removeAll { $0.until ?? .max <= firstRunning && $0.numbers.upperBound <= end }
    }

    /// Notes which transactions may have the numbers missed so far.
    ///
    /// - Parameter transaction: one that got its number after they were missed.
    public mutating func bound(before transaction: UInt64) {
        for index in gaps.indices where gaps[index].until == nil { gaps[index].until = transaction }
    }

    private mutating func fill(_ number: Int64) {
        guard let index = gaps.firstIndex(where: { $0.numbers.contains(number) }) else { return }
        let gap = gaps[index]
        var rest: [Gap] = []
        if gap.numbers.lowerBound < number {
            rest.append(Gap(numbers: gap.numbers.lowerBound...number - 1, until: gap.until))
        }
        if number < gap.numbers.upperBound {
            rest.append(Gap(numbers: number + 1...gap.numbers.upperBound, until: gap.until))
        }
        gaps.replaceSubrange(index...index, with: rest)
    }
}
