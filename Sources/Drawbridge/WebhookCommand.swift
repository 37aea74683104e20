internal import Authentication
internal import Installation
internal import JSONText
internal import Loop
internal import Webhook

/// `drawbridge webhook`: who is told of what, and what became of it.
enum WebhookCommand: Equatable {
    case list(client: String?)
    case show(EndpointID)
    case add(client: String, issuer: String?, json: [UInt8])
    case change(EndpointID, json: [UInt8])
    case enable(EndpointID)
    case disable(EndpointID)
    case remove(EndpointID)
    case rotateSecret(EndpointID, overlap: Int)
    case events
    case delivery(WebhookDeliveryCommand)

    static let usage = """
          webhook  the endpoints that are told of events
            list [--client NAME]
            show ID
            add --client NAME [--issuer ISS (this installation)] --url URL --events "EVENT …"
                (--hotel ID … | --every-hotel) [OPTION …]
            change ID [--url URL] [--events "EVENT …"] [--hotel ID … | --every-hotel] [OPTION …]
              --description TEXT         an empty one takes it away
              --payload full|thin        (full)
              --ordered yes|no           the events of a booking one after the other (no)
              --asymmetric yes|no        signed with Ed25519, too (no)
              --retries N, --backoff exponential|linear   (9, exponential); both are set where one is named
              --in-flight N, --per-second N   requests at once (20), and begun in a second (1000)
            enable ID, disable ID, remove ID
            rotate-secret ID [--overlap-hours N (24)]
            events                       what there is to be told of
        \(WebhookDeliveryCommand.usage)
        """

    init(_ arguments: inout [String]) throws(UsageError) {
        guard !arguments.isEmpty else { throw UsageError("webhook: which command?") }
        switch arguments.removeFirst() {
        case "list": self = .list(client: try arguments.first == "--client" ? takeValue(&arguments) : nil)
        case "show": self = .show(try Self.id(&arguments))
        case "add": self = try Self.addition(&arguments)
        case "change":
            let id = try Self.id(&arguments)
            let settings = try WebhookSettings(&arguments)
            guard !settings.isEmpty else { throw UsageError("webhook change: what is to be different?") }
            self = .change(id, json: settings.json)
        case "enable": self = .enable(try Self.id(&arguments))
        case "disable": self = .disable(try Self.id(&arguments))
        case "remove": self = .remove(try Self.id(&arguments))
        case "rotate-secret":
            let id = try Self.id(&arguments)
            let overlap =
                try arguments.first == "--overlap-hours"
                ? takeCount(&arguments, 0...24) : SecretRotation.standardOverlapInHours
            self = .rotateSecret(id, overlap: overlap)
        case "events": self = .events
        case let other:
            guard let command = try WebhookDeliveryCommand(other, &arguments) else {
                throw UsageError("webhook: no such command: \(other)")
            }
            self = .delivery(command)
        }
    }

    func run() throws {
        switch self {
        case .events:
            return Terminal.print(table: ["EVENT", "WHEN"], EventType.allCases.map { [$0.rawValue, $0.summary] })
        case .delivery(let command): return try command.run()
        default: break
        }
        try Loop.run {
            let webhooks = try Webhooks(.current, try Settings(), tools: Tools())
            switch self {
            case .list(let client):
                Terminal.print(
                    table: ["ID", "CLIENT", "ADDRESS", "EVENTS", "HOTELS", "STATE", "SINCE", "DESCRIPTION"],
                    try await webhooks.list(client: client))
            case .show(let id): for (name, value) in try await webhooks.show(id) { Terminal.print("\(name): \(value)") }
            case .add(let client, let issuer, let json):
                let made = try await webhooks.add(client: client, issuer: issuer, json: json)
                Self.show(made, "webhook \(made.id)")
            case .change(let id, let json):
                try await webhooks.change(id, json: json)
                Terminal.complain("\(id) is changed")
            case .enable(let id):
                try await webhooks.enable(id)
                Terminal.complain("\(id) is enabled")
            case .disable(let id):
                try await webhooks.disable(id)
                Terminal.complain("\(id) is disabled")
            case .remove(let id):
                try await webhooks.remove(id)
                Terminal.complain("\(id) is removed")
            case .rotateSecret(let id, let overlap):
                let made = try await webhooks.rotateSecret(id, overlapInHours: overlap)
                Self.show(
                    made, overlap == 0 ? "no other is good" : "those before it are good for at most \(overlap) hours")
            case .events, .delivery: return
            }
        }
    }

    /// The secret alone goes to standard output, so that a script can take it.
    private static func show(_ made: Webhooks.Made, _ words: String) {
        Terminal.print(made.secret.text)
        Terminal.complain("\(words); the secret is shown this once")
    }

    private static func addition(_ arguments: inout [String]) throws(UsageError) -> WebhookCommand {
        var client: String?
        var issuer: String?
        while let name = arguments.first, name == "--client" || name == "--issuer" {
            let value = try takeValue(&arguments)
            if name == "--client" { client = value } else { issuer = value }
        }
        let settings = try WebhookSettings(&arguments)
        guard let client, settings.isComplete else {
            throw UsageError("webhook add needs --client first, then --url, --events, and --hotel or --every-hotel")
        }
        guard issuer != nil || Identity.isClientName(client) else {
            throw UsageError("--client takes 1 to 64 letters, digits, dots, hyphens, underscores")
        }
        return .add(client: client, issuer: issuer, json: settings.json)
    }

    static func id(_ arguments: inout [String]) throws(UsageError) -> EndpointID {
        guard let text = arguments.first, let id = EndpointID(text) else {
            throw UsageError("which webhook? Its id stands in: drawbridge webhook list")
        }
        arguments.removeFirst()
        return id
    }
}

/// What an endpoint is to be like, as the API has it; what is wrong with a value is said by whoever reads that.
private struct WebhookSettings {
    private var url: String?
    private var events: [String]?
    /// Nil inside where every hotel is named.
    private var hotels: [Int]??
    private var description: String?
    private var payload: String?
    private var isOrdered: Bool?
    private var isAsymmetric: Bool?
    private var retries: Int?
    private var backoff: String?
    private var inFlight: Int?
    private var perSecond: Int?

    /// Whether nothing was named.
    private(set) var isEmpty = true
    /// Whether it says what a new endpoint needs.
    var isComplete: Bool { url != nil && events != nil && hotels != nil }

    init(_ arguments: inout [String]) throws(UsageError) {
        while let name = arguments.first {
            switch name {
            case "--url": url = try takeValue(&arguments)
            case "--events":
                events = try takeValue(&arguments).split { $0 == " " || $0 == "," }.map(String.init)
            case "--hotel":
                let id = try takeCount(&arguments, 1...Int(Int32.max))
                guard hotels != .some(nil) else { throw UsageError.bothHotels }
                hotels = .some(((hotels ?? nil) ?? []) + [id])
            case "--every-hotel":
                arguments.removeFirst()
                guard hotels == nil || hotels == .some(nil) else { throw UsageError.bothHotels }
                hotels = .some(nil)
            case "--description":
                arguments.removeFirst()
                guard !arguments.isEmpty else { throw UsageError("--description needs a value") }
                description = arguments.removeFirst()
            case "--payload": payload = try takeValue(&arguments)
            case "--ordered": isOrdered = try Self.answer(&arguments)
            case "--asymmetric": isAsymmetric = try Self.answer(&arguments)
            case "--retries": retries = try takeCount(&arguments, WebhookRetryPolicy.retryCounts)
            case "--backoff": backoff = try takeValue(&arguments)
            case "--in-flight": inFlight = try takeCount(&arguments, Self.bounds(Subscription.Limit.inFlight))
            case "--per-second": perSecond = try takeCount(&arguments, Self.bounds(Subscription.Limit.rate))
            default: return
            }
            isEmpty = false
        }
    }

    var json: [UInt8] {
        var json = JSONWriter()
        json.object { json in
            if let url { json.member("url", url) }
            if let events { json.array("events", events) { $0.element($1) } }
            switch hotels {
            case nil: break
            case .some(nil): json.member("hotel_ids", raw: "null")
            case .some(let ids?): json.array("hotel_ids", ids) { $0.element($1) }
            }
            if let description { json.member("description", description.isEmpty ? nil : description) }
            if let payload { json.member("payload", payload) }
            if let isOrdered { json.member("in_order", isOrdered) }
            if let isAsymmetric { json.member("asymmetric", isAsymmetric) }
            if retries != nil || backoff != nil {
                json.object("retryPolicy") { json in
                    if let retries { json.member("maxRetries", retries) }
                    if let backoff { json.member("backoff", backoff) }
                }
            }
            if let inFlight { json.member("max_in_flight", inFlight) }
            if let perSecond { json.member("max_per_second", perSecond) }
        }
        return json.bytes
    }

    private static func answer(_ arguments: inout [String]) throws(UsageError) -> Bool {
        let name = arguments[0]
        switch try takeValue(&arguments) {
        case "yes": return true
        case "no": return false
        case let other: throw UsageError("\(name) takes yes or no, not \(other)")
        }
    }

    private static func bounds(_ range: ClosedRange<Int64>) -> ClosedRange<Int> {
        Int(range.lowerBound)...Int(range.upperBound)
    }
}
