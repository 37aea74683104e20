internal import Glibc
internal import Lifecycle
internal import Loop
internal import Telemetry

// One gateway worker: everything between the client and the bridge.

Lifecycle.holdHangUp()
Lifecycle.dieWithParent()
do {
    let context = try ProcessContext()
    Log.start(process: "gateway-\(context.worker)")
    let configuration = try GatewayConfiguration(context)
    Loop.scheduleForThroughput()
    try Loop.run { try await Gateway(configuration, context).run() }
} catch {
    Log.error("gateway stops", ["error": .init(error: error)])
    exit(1)
}
