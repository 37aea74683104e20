internal import Installation
internal import Loop
internal import Synchronization

/// What `drawbridge reconcile` is asked for.
struct ReconcileOptions: Equatable {
    static let usage = """
          reconcile
                   compares bookings with the PMS, and the bridges' indexes with the database; says what differs
            --hotel N           one hotel (all)
            --repair            mends what can be mended without people
            --config DIR        the policies' directory
        """

    var config: String?
    var hotel: Int32?
    var repairs = false

    init(_ arguments: inout [String]) throws(UsageError) {
        while let name = arguments.first {
            switch name {
            case "--config": config = try takeValue(&arguments)
            case "--hotel": hotel = try takeHotel(&arguments, unless: hotel)
            case "--repair":
                repairs = true
                arguments.removeFirst()
            default: return
            }
        }
    }
}

/// `drawbridge reconcile`: bookings and the PMS, side by side.
enum Reconcile {
    /// Returns the exit status: 0 where nothing differs any more, 2 where something does, 1 where it could not be compared.
    static func run(_ options: ReconcileOptions) throws -> Int32 {
        let status = Mutex<Int32>(1)
        try Loop.run {
            let result = try await Reconciliation.run(
                .current, config: options.config, hotel: options.hotel, repairs: options.repairs, try Settings(),
                Tools())
            let lines = result.output.split(separator: "\n").joined(separator: "\n")
            if !lines.isEmpty { Terminal.print(lines) }
            guard result.exit.signal == 0, result.exit.status == 0 || result.exit.status == 2 else {
                throw InstallationError("could not compare: \(result.reason)")
            }
            status.withLock { $0 = Int32(result.exit.status) }
        }
        return status.withLock { $0 }
    }
}
