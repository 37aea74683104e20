internal import AuditTrail
internal import Glibc
internal import Installation
internal import Telemetry

// The `drawbridge` command.

Log.start(process: "drawbridge")
do {
    switch try Command(CommandLine.arguments.dropFirst()) {
    case .up(let options): exit(try Up.run(options))
    case .doctor(let options): exit(try Doctor.run(options))
    case .policy(let command): exit(try command.run())
    case .key(let options): try Key.run(options)
    case .token(let command): try command.run()
    case .reconcile(let options): exit(try Reconcile.run(options))
    case .deadLetters(let command): try command.run()
    case .webhook(let command): try command.run()
    case .inbound(let command): try command.run()
    case .audit(let command):
        exit(command.run(.current(home: Home.current.path, release: Command.release)))
    case .auditHelp: Terminal.print(AuditCommand.usage)
    case .help: Terminal.print(Command.usage)
    case .version: Terminal.print("drawbridge \(Command.release)")
    }
} catch let error as UsageError {
    Terminal.complain("drawbridge: \(error.message)\n\n\(error.usage)")
    // EX_USAGE of sysexits.h.
    exit(64)
} catch {
    Terminal.complain("drawbridge: \(error)")
    exit(1)
}
