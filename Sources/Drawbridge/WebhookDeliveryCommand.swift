internal import Glibc
internal import Installation
internal import JSONText
internal import Loop
internal import Webhook

/// The commands of `drawbridge webhook` that are about deliveries: what was sent, and what is to be sent again.
enum WebhookDeliveryCommand: Equatable {
    case list(EndpointID, WebhookDeliveries.Filter)
    case show(TimeOrderedID)
    case retry(TimeOrderedID)
    case abandon(TimeOrderedID)
    case deadLetters(json: [UInt8], limit: Int)
    case retryDeadLetters(json: [UInt8])
    case test(EndpointID)
    case replay(EndpointID, json: [UInt8])

    static let usage = """
            deliveries ID [--state sending|waiting|dead|delivered|abandoned] [--event EVENT] [--since TIME] [--until TIME]
                [--limit N (50)]         what it was sent
            delivery DELIVERY            one, with its event and every attempt
            test ID                      sends it an event that is nothing but a test
            replay ID --since TIME [--until TIME (now)] [--events "EVENT …"]
                                         sends events that have gone by again, delivered or not
            retry DELIVERY               tries one again at once, whatever became of it
            abandon DELIVERY             never tries it again
            dead-letters [WHICH …] [--limit N (50)]
                                         deliveries that are tried no more until somebody decides
            dead-letters retry [WHICH …]
              --webhook ID, --delivery DELIVERY …, --reason exhausted|endpoint_disabled, --since TIME, --until TIME,
              --events "EVENT …"
            TIME is such as 2027-01-10T12:00:00Z
        """

    /// How often it is looked how far a replay has come.
    private static let interval = Duration.milliseconds(200)

    /// Reads what follows a word; nil where it is none of these commands.
    init?(_ word: String, _ arguments: inout [String]) throws(UsageError) {
        switch word {
        case "deliveries": self = .list(try WebhookCommand.id(&arguments), try Self.filter(&arguments))
        case "delivery": self = .show(try Self.delivery(&arguments))
        case "retry": self = .retry(try Self.delivery(&arguments))
        case "abandon": self = .abandon(try Self.delivery(&arguments))
        case "test": self = .test(try WebhookCommand.id(&arguments))
        case "replay":
            let id = try WebhookCommand.id(&arguments)
            var selection = DeliveryOptions()
            try selection.take(["--since", "--until", "--events"], &arguments)
            guard selection.since != nil else { throw UsageError("webhook replay needs --since") }
            self = .replay(id, json: selection.json)
        case "dead-letters":
            let isRetry = arguments.first == "retry"
            if isRetry { arguments.removeFirst() }
            var selection = DeliveryOptions()
            let names = ["--webhook", "--delivery", "--reason", "--since", "--until", "--events"]
            try selection.take(names + (isRetry ? [] : ["--limit"]), &arguments)
            self =
                isRetry
                ? .retryDeadLetters(json: selection.json)
                : .deadLetters(json: selection.json, limit: selection.limit)
        default: return nil
        }
    }

    func run() throws {
        try Loop.run {
            let deliveries = try WebhookDeliveries(.current, try Settings(), tools: Tools())
            switch self {
            case .list(let id, let filter):
                Terminal.print(
                    table: ["ID", "SINCE", "WEBHOOK-ID", "EVENT", "ORIGIN", "STATE", "ATTEMPTS", "LAST"],
                    try await deliveries.list(id, filter))
            case .show(let id):
                for (name, value) in try await deliveries.show(id) { Terminal.print("\(name): \(value)") }
            case .retry(let id):
                try await deliveries.retry(id)
                Terminal.complain("\(id) is tried again; see what becomes of it: drawbridge webhook delivery \(id)")
            case .abandon(let id):
                try await deliveries.abandon(id)
                Terminal.complain("\(id) is abandoned")
            case .deadLetters(let json, let limit):
                Terminal.print(
                    table: ["ID", "SINCE", "WEBHOOK", "EVENT", "REASON", "DEAD SINCE", "ATTEMPTS", "LAST"],
                    try await deliveries.deadLetters(json: json, limit: limit))
            case .retryDeadLetters(let json):
                Terminal.print("\(try await deliveries.retryDeadLetters(json: json))")
                Terminal.complain("so many dead letters are tried again")
            case .test(let id):
                let delivery = try await deliveries.test(id)
                Terminal.print(delivery.description)
                Terminal.complain("see what becomes of it: drawbridge webhook delivery \(delivery)")
            case .replay(let id, let json):
                try await Self.follow(try await deliveries.beginReplay(id, json: json), to: id, deliveries)
            }
        }
    }

    /// Shows how far a replay has come, until it has ended. Whoever stops looking does not stop it.
    @OnLoop
    private static func follow(
        _ replay: TimeOrderedID, to endpoint: EndpointID, _ deliveries: WebhookDeliveries
    ) async throws {
        var bar = ReplayProgress(isTerminal: isatty(STDERR_FILENO) == 1)
        while let progress = try await deliveries.progress(of: replay) {
            bar.show(progress)
            switch progress.state {
            case "running": try await Loop.sleep(for: interval)
            case "done":
                Terminal.print("\(progress.replayed)")
                return Terminal.complain(
                    "so many deliveries are on their way: drawbridge webhook deliveries \(endpoint)")
            default:
                throw InstallationError("the webhook was disabled before all of them were on their way")
            }
        }
        throw InstallationError("the webhook was removed before all of them were on their way")
    }

    private static func filter(_ arguments: inout [String]) throws(UsageError) -> WebhookDeliveries.Filter {
        var filter = WebhookDeliveries.Filter()
        options: while let name = arguments.first {
            switch name {
            case "--state":
                let text = try takeValue(&arguments)
                guard let state = DeliveryState(rawValue: text) else {
                    let known = DeliveryState.allCases.map(\.rawValue).joined(separator: ", ")
                    throw UsageError("--state takes one of \(known), not \(text)")
                }
                filter.state = state
            case "--event": filter.event = try takeValue(&arguments)
            case "--since": filter.since = try takeValue(&arguments)
            case "--until": filter.until = try takeValue(&arguments)
            case "--limit": filter.limit = try takeCount(&arguments, DeliveryOptions.limits)
            default: break options
            }
        }
        return filter
    }

    private static func delivery(_ arguments: inout [String]) throws(UsageError) -> TimeOrderedID {
        guard let text = arguments.first, let id = TimeOrderedID(text) else {
            throw UsageError("which delivery? Its id stands in: drawbridge webhook deliveries ID")
        }
        arguments.removeFirst()
        return id
    }
}

/// Which deliveries are meant, as the API has it; what is wrong with a value is said by whoever reads that.
private struct DeliveryOptions {
    static let limits = 1...10_000

    private(set) var since: String?
    private var until: String?
    private var webhook: String?
    private var deliveries: [String] = []
    private var reason: String?
    private var events: [String]?
    private(set) var limit = 50

    /// Takes options of these names from the beginning.
    mutating func take(_ names: [String], _ arguments: inout [String]) throws(UsageError) {
        while let name = arguments.first, names.contains(name) {
            if name == "--limit" {
                limit = try takeCount(&arguments, Self.limits)
                continue
            }
            let value = try takeValue(&arguments)
            switch name {
            case "--since": since = value
            case "--until": until = value
            case "--webhook": webhook = value
            case "--delivery": deliveries.append(value)
            case "--reason": reason = value
            default: events = value.split { $0 == " " || $0 == "," }.map(String.init)
            }
        }
    }

    var json: [UInt8] {
        var json = JSONWriter()
        json.object { json in
            if let since { json.member("since", since) }
            if let until { json.member("until", until) }
            if let webhook { json.member("endpoint_id", webhook) }
            if !deliveries.isEmpty { json.array("ids", deliveries) { $0.element($1) } }
            if let reason { json.member("reason", reason) }
            if let events { json.array("events", events) { $0.element($1) } }
        }
        return json.bytes
    }
}

/// How far a replay has come: a bar on a terminal, which is written over; elsewhere a line whenever there is something new.
private struct ReplayProgress {
    private static let width = 40

    let isTerminal: Bool
    private var shown: WebhookDeliveries.Progress?

    init(isTerminal: Bool) { self.isTerminal = isTerminal }

    mutating func show(_ progress: WebhookDeliveries.Progress) {
        guard progress != shown else { return }
        shown = progress
        guard isTerminal else {
            return Terminal.complain("\(progress.percent) %, \(progress.replayed) deliveries")
        }
        let filled = progress.percent * Self.width / 100
        let bar = String(repeating: "#", count: filled) + String(repeating: "-", count: Self.width - filled)
        Terminal.rewrite("[\(bar)] \(progress.percent) %, \(progress.replayed) deliveries")
        if progress.state != "running" { Terminal.complain("") }
    }
}
