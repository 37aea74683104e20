internal import Installation
internal import Loop
internal import Synchronization

/// `drawbridge doctor`: one line for each thing looked at.
enum Doctor {
    /// Returns the exit status: 0 when everything is well, otherwise 1.
    static func run(_ options: DoctorOptions) throws -> Int32 {
        let isWell = Mutex(true)
        try Loop.run {
            for finding in try await Examination(.current, config: options.config, tools: Tools()).run() {
                Terminal.print(finding.description)
                if !finding.isWell { isWell.withLock { $0 = false } }
            }
        }
        return isWell.withLock { $0 } ? 0 : 1
    }
}
