internal import Glibc
internal import Lifecycle
internal import Loop
internal import Telemetry

// The node's one ledger writer: takes records from the gateway's workers, and has the key that signs for them.

Log.start(process: "ledger")
do {
    let context = try ProcessContext()
    let configuration = try RecorderConfiguration(context)
    let reporter = Readiness.Reporter()
    // From here on it is the user to whom the ledger belongs, and sees nothing of the installation but that directory.
    try Privileges.enter(configuration.directory)
    Lifecycle.dieWithParent()
    let identity = try LedgerIdentity()
    // The less often it interrupts the workers, the more records one write serves.
    Loop.scheduleForThroughput()
    try Loop.run { try await Recorder(configuration, identity, context).run { reporter.report(process: "ledger") } }
} catch {
    Log.error("ledger stops", ["error": .init(error: error)])
    exit(1)
}
