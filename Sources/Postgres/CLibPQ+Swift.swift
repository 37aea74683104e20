internal import CLibPQ
internal import Telemetry

extension ExecStatusType {
    static var pipelineAborted: ExecStatusType { PGRES_PIPELINE_ABORTED }
}

/// libpq's connection, as it travels to the thread pool.
///
/// Unchecked: libpq allows any thread, one at a time, and whoever sends it away waits until it is back.
struct ConnectionHandle: @unchecked Sendable {
    let pointer: OpaquePointer
}

/// What is needed to cancel a connection's running command; owns libpq's object.
///
/// Unchecked: libpq copies all it needs at creation and documents use from any thread.
final class CancelHandle: @unchecked Sendable {
    private let pointer: OpaquePointer

    init?(_ connection: OpaquePointer) {
        guard let pointer = PQgetCancel(connection) else { return nil }
        self.pointer = pointer
    }

    deinit { PQfreeCancel(pointer) }

    /// Tells the server to cancel. Blocks: to be called on the thread pool.
    func cancel() {
        var message = [CChar](repeating: 0, count: 256)
        if PQcancel(pointer, &message, CInt(message.count)) == 0 {
            Log.warning("a cancel request was not delivered", ["error": .init(ServerReport.firstLine(message))])
        }
    }
}

/// Logs what the server says besides results.
func receiveNotice(_: UnsafeMutableRawPointer?, _ result: OpaquePointer?) {
    guard let result else { return }
    let report = ServerReport(result)
    Log.debug(
        "notice from the database",
        ["severity": .init(report.severity), "state": .init(report.state), "notice": .init(report.safeText)])
}
