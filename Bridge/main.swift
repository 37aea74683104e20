internal import Glibc
internal import Lifecycle
internal import Loop
internal import Postgres
internal import Telemetry

// The bridge: the booking-engine contract in front of the PMS.

Lifecycle.holdHangUp()
Lifecycle.dieWithParent()
Log.start(process: "bridge")
do {
    let context = try ProcessContext(flags: ["--migrate"])
    let configuration = try BridgeConfiguration(context)
    if context.flags.contains("--migrate") {
        try Loop.run { try await Migrations.apply(bridgeMigrations, to: configuration.database) }
    } else {
        Loop.scheduleForThroughput()
        try Loop.run { try await Bridge(configuration, context).run() }
    }
} catch {
    Log.error("bridge stops", ["error": .init(error: error)])
    exit(1)
}
