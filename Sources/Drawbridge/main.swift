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
    case .help: Terminal.print(Command.usage)
    case .version: Terminal.print("drawbridge \(Command.release)")
    }
} catch let error as UsageError {
    Terminal.complain("drawbridge: \(error.message)\n\n\(Command.usage)")
    // EX_USAGE of sysexits.h.
    exit(64)
} catch {
    Terminal.complain("drawbridge: \(error)")
    exit(1)
}
