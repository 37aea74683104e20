internal import Glibc
internal import Lifecycle
internal import Loop
internal import Postgres
internal import Synchronization
internal import Telemetry

// The bridge: the booking-engine contract in front of the PMS.

Lifecycle.holdHangUp()
Lifecycle.dieWithParent()
Log.start(process: "bridge")
do {
    let context = try ProcessContext(flags: ["--migrate", "--reconcile", "--repair"], values: ["--hotel", "--role"])
    guard let role = BridgeRole(rawValue: context.values["--role"] ?? BridgeRole.all.rawValue) else {
        throw BridgeConfiguration.Mistake(description: "--role is api, dispatcher or all")
    }
    Log.start(
        process: role == .dispatcher
            ? Lifecycle.dispatcherName(context.worker) : Lifecycle.bridgeName(context.worker))
    let configuration = try BridgeConfiguration(context)
    if context.flags.contains("--migrate") {
        try Loop.run { try await configuration.migrate() }
    } else if context.flags.contains("--reconcile") {
        let order = Reconciliation.Order(
            hotel: context.values["--hotel"].flatMap { Int32($0) }, repairs: context.flags.contains("--repair"))
        let left = Mutex(0)
        try Loop.run {
            let count = try await Bridge.reconcile(configuration, context, order)
            left.withLock { $0 = count }
        }
        // Something differs: told apart from what could not be compared.
        if left.withLock({ $0 }) > 0 { exit(2) }
    } else if role == .dispatcher {
        try Loop.run { try await DispatcherProcess(configuration, context).run() }
    } else {
        Loop.scheduleForThroughput()
        try Loop.run { try await Bridge(configuration, context, dispatches: role == .all).run() }
    }
} catch {
    Log.error("bridge stops", ["error": .init(error: error)])
    exit(1)
}
