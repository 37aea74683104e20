internal import Ledger
internal import Lifecycle
internal import Loop
internal import Server
internal import Telemetry

/// The ledger's process, put together in the order a record passes it: socket, connections, journal, witness.
@OnLoop
final class Recorder: Journal.Listener {
    private let listener: Listener
    private let administration: (server: Server, listener: Listener)
    private let witness: Witness
    private let journal: Journal
    private var connections: [UInt64: WorkerConnection] = [:]
    private var nextConnection: UInt64 = 0
    /// Fired when it is known whether the ledger can be written.
    private let opened = Signal()
    /// Fired when everything is written.
    private let closed = Signal()
    private var failure: (any Error)?
    private let connected: Gauge

    init(_ configuration: RecorderConfiguration, _ identity: LedgerIdentity, _ context: ProcessContext) throws {
        Metrics.start(process: "ledger", restarts: Lifecycle.restarts)
        connected = Metrics.gauge("drawbridge_ledger_workers", "Workers connected.")
        listener = try Listener(
            try context.socket("ledger") { try ListeningSocket(unixPath: "\(context.run)/ledger.sock") })
        witness = Witness(configuration.policy)
        let adminSocket = try context.socket("process-admin") {
            try ListeningSocket(unixPath: "\(context.run)/ledger.admin.sock")
        }
        let journal = Journal(configuration.ledger(formerKeys: identity.formerKeys), identity)
        self.journal = journal
        let admin = AdminHandler(unreadiness: { journal.unreadiness })
        administration = (
            Server(name: "process-admin", configuration: .init(), handler: admin), try Listener(adminSocket)
        )
        journal.listener = self
    }

    /// Serves until a signal says to stop, then writes and signs for everything that was taken in.
    ///
    /// - Parameter ready: called once it is known whether the ledger can be written.
    func run(ready: @escaping @OnLoop () -> Void) async throws {
        let signals = ProcessSignals()
        defer { signals.close() }
        try await withThrowingDiscardingTaskGroup { group in
            group.addTask { await self.administration.server.run(self.administration.listener) }
            group.addTask { await self.witness.run() }
            group.addTask { await self.keepJournal(ready) }
            // Who connects meanwhile waits in the kernel's queue; refused would be worse than late.
            try await opened.wait()
            if let failure { throw failure }
            group.addTask { await self.accept() }
            group.addTask { await self.stop(at: signals) }
            try await closed.wait()
            for connection in connections.values { await connection.finish() }
            group.cancelAll()
            if let failure { throw failure }
        }
    }

    private func keepJournal(_ ready: @OnLoop () -> Void) async {
        do {
            try await journal.run { [opened] in
                ready()
                opened.fire()
            }
        } catch {
            failure = error
            opened.fire()
        }
        closed.fire()
    }

    private func stop(at signals: ProcessSignals) async {
        // Without signals it could never be told to stop, so it stops now.
        while (try? await signals.next()) == .hangUp {}
        guard !Task.isCancelled else { return }
        Log.info("ledger stops taking records")
        listener.close()
        for connection in connections.values { connection.stopReading() }
        journal.stop()
    }

    private func accept() async {
        await withDiscardingTaskGroup { group in
            while true {
                do {
                    let stream = try await listener.next()
                    guard connections.count < RecorderConfiguration.connectionBound else {
                        Log.error("too many workers are connected")
                        stream.close()
                        continue
                    }
                    nextConnection += 1
                    let connection = WorkerConnection(nextConnection, stream, journal)
                    connections[connection.id] = connection
                    connected.value = Double(connections.count)
                    group.addTask { await self.serve(connection) }
                } catch let error as LoopError where error.code != .closed {
                    Log.error("connection not accepted", ["error": .init(error: error)])
                    try? await Loop.sleep(for: .milliseconds(100))
                } catch {
                    return
                }
            }
        }
    }

    private func serve(_ connection: WorkerConnection) async {
        await connection.run()
        connections[connection.id] = nil
        connected.value = Double(connections.count)
    }

    // MARK: What the journal says

    func acknowledged(_ connection: UInt64, _ durability: Durability, through ticket: UInt64) {
        connections[connection]?.acknowledged(durability, through: ticket)
    }

    func refused(_ connection: UInt64, _ tickets: ClosedRange<UInt64>, _ reason: RefusalReason) {
        connections[connection]?.refused(tickets, reason)
    }

    func recovered() { for connection in connections.values { connection.recovered() } }

    func signed(_ note: String) { witness.offer(note) }
}
