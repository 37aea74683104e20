internal import AuditTrail
internal import Installation

/// What the command line asks for.
enum Command: Equatable {
    case up(UpOptions)
    case doctor(DoctorOptions)
    case policy(PolicyCommand)
    case key(KeyOptions)
    case token(TokenCommand)
    case reconcile(ReconcileOptions)
    case deadLetters(DeadLetterCommand)
    case webhook(WebhookCommand)
    case inbound(InboundCommand)
    case audit(AuditCommand)
    case auditHelp
    case help
    case version

    static let release = "0.1.0"

    static let usage = """
        usage: drawbridge COMMAND [OPTION …]

          up       sets up what is missing and runs the installation until Ctrl-C or SIGTERM
            --config DIR        the policies' directory
            --workers N         gateway workers (one per core)
            --bridges N         bridges (1)
            --demo-hotels N     hotels in the demo PMS (3)
          doctor   says what is missing or misconfigured, and how to put it right
            --config DIR        the policies' directory
          policy check [DIR]
                   reads the policies and reports every mistake, with file, line and what was expected
          policy reload
                   lets the running installation go over to the policies as they are now, if they are in order
        \(KeyOptions.usage)
        \(TokenCommand.usage)
        \(ReconcileOptions.usage)
        \(DeadLetterCommand.usage)
        \(WebhookCommand.usage)
        \(InboundCommand.usage)
          audit    reads and verifies the ledger of all requests: drawbridge audit help
          help     says this
          --version

        The installation is in $DRAWBRIDGE_HOME (.drawbridge here). $DRAWBRIDGE_PORT and $DRAWBRIDGE_ADMIN_PORT choose
        the gateway's ports, 0 takes any free one. Without $DATABASE_URL a private PostgreSQL with a demo PMS is run.
        """

    /// Reads the arguments after the program's name.
    init(_ arguments: some Sequence<String>) throws(UsageError) {
        var arguments = Array(arguments)
        guard !arguments.isEmpty else { throw UsageError("which command?") }
        switch arguments.removeFirst() {
        case "up": self = .up(try UpOptions(&arguments))
        case "doctor": self = .doctor(try DoctorOptions(&arguments))
        case "policy": self = .policy(try PolicyCommand(&arguments))
        case "key": self = .key(try KeyOptions(&arguments))
        case "token": self = .token(try TokenCommand(&arguments))
        case "reconcile": self = .reconcile(try ReconcileOptions(&arguments))
        case "dead-letters": self = .deadLetters(try DeadLetterCommand(&arguments))
        case "webhook": self = .webhook(try WebhookCommand(&arguments))
        case "inbound": self = .inbound(try InboundCommand(&arguments))
        case "audit":
            do throws(AuditUsageError) {
                self = try AuditCommand(arguments).map { .audit($0) } ?? .auditHelp
            } catch {
                throw UsageError(error.message, usage: AuditCommand.usage)
            }
            return
        case "help", "--help", "-h": self = .help
        case "--version": self = .version
        case let other: throw UsageError("no such command: \(other)")
        }
        if let rest = arguments.first { throw UsageError("unexpected: \(rest)") }
    }
}

/// A command line that says nothing we understand.
struct UsageError: Error, Equatable {
    let message: String
    /// What would be understood.
    let usage: String

    init(_ message: String, usage: String = Command.usage) {
        self.message = message
        self.usage = usage
    }

    static var bothHotels: UsageError { UsageError("--hotel or --every-hotel, not both") }
}

/// What `drawbridge up` is asked for.
struct UpOptions: Equatable {
    static let workerBound = 256
    /// Each opens connections to the database.
    static let bridgeBound = 8
    static let hotelBound = 100_000

    var config: String?
    var workers = min(workerBound, Machine.processors)
    var bridges = 1
    var demoHotels = 3

    init(_ arguments: inout [String]) throws(UsageError) {
        while let name = arguments.first {
            switch name {
            case "--config": config = try takeValue(&arguments)
            case "--workers": workers = try takeCount(&arguments, 1...Self.workerBound)
            case "--bridges": bridges = try takeCount(&arguments, 1...Self.bridgeBound)
            case "--demo-hotels": demoHotels = try takeCount(&arguments, 1...Self.hotelBound)
            default: return
            }
        }
    }
}

/// What `drawbridge doctor` is asked for.
struct DoctorOptions: Equatable {
    var config: String?

    init(_ arguments: inout [String]) throws(UsageError) {
        while arguments.first == "--config" { config = try takeValue(&arguments) }
    }
}

func takeValue(_ arguments: inout [String]) throws(UsageError) -> String {
    let name = arguments.removeFirst()
    guard !arguments.isEmpty, !arguments[0].isEmpty else { throw UsageError("\(name) needs a value") }
    return arguments.removeFirst()
}

/// One hotel. A second one is refused: whoever names two does not mean one of them.
func takeHotel(_ arguments: inout [String], unless other: Int32?) throws(UsageError) -> Int32 {
    let id = Int32(try takeCount(&arguments, 1...Int(Int32.max)))
    guard other == nil else { throw UsageError("--hotel takes one hotel here") }
    return id
}

func takeCount(_ arguments: inout [String], _ bounds: ClosedRange<Int>) throws(UsageError) -> Int {
    let name = arguments[0]
    let text = try takeValue(&arguments)
    guard let count = Int(text), bounds.contains(count) else {
        throw UsageError("\(name) takes a number from \(bounds.lowerBound) to \(bounds.upperBound), not \(text)")
    }
    return count
}
