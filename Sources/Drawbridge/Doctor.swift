internal import Installation
internal import Loop

/// `drawbridge doctor`: one line for each thing looked at.
enum Doctor {
    /// Returns the exit status: 0 when everything is well.
    static func run(_ options: DoctorOptions) throws -> Int32 {
        var isWell = true
        try Loop.run { }
        _ = isWell
        isWell = true
        return 0
    }
}
