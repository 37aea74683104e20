internal import Glibc
internal import Inbound
internal import Installation
internal import Loop

/// `drawbridge inbound`: webhooks that others have sent to us.
enum InboundCommand: Equatable {
    case list(InboundMessages.Filter)
    case show(Int64)
    case content(Int64)
    case retry(Int64)

    static let usage = """
          inbound  webhooks that others have sent to us (inbound.yaml)
            list [--source NAME] [--status pending|retrying|processed|rejected|dead] [--limit N (100)]
            show ID                      all about one but what it says
            content ID                   what it says, as it came; guests' data may be in it
            retry ID                     acts again on one that was rejected or is dead
        """

    init(_ arguments: inout [String]) throws(UsageError) {
        guard !arguments.isEmpty else { throw UsageError("inbound: list, show, content or retry?") }
        switch arguments.removeFirst() {
        case "list": self = .list(try Self.filter(&arguments))
        case "show": self = .show(try Self.id(&arguments))
        case "content": self = .content(try Self.id(&arguments))
        case "retry": self = .retry(try Self.id(&arguments))
        case let other: throw UsageError("inbound: no such command: \(other)")
        }
    }

    func run() throws {
        try Loop.run {
            let messages = try InboundMessages(.current, try Settings(), tools: Tools())
            switch self {
            case .list(let filter):
                Terminal.print(
                    table: ["ID", "SOURCE", "RECEIVED", "HOTEL", "STATUS", "ATTEMPTS", "REASON"],
                    try await messages.list(filter))
            case .show(let id): for (name, value) in try await messages.show(id) { Terminal.print("\(name): \(value)") }
            case .content(let id): Self.write(try await messages.content(id))
            case .retry(let id):
                try await messages.retry(id)
                Terminal.complain("\(id) is acted on again; see what becomes of it: drawbridge inbound show \(id)")
            }
        }
    }

    /// Bytes that a stranger has chosen: into a file or a pipe as they are, on a terminal without what would control it.
    private static func write(_ content: [UInt8]) {
        guard isatty(STDOUT_FILENO) == 0 else {
            let text = String(decoding: content, as: UTF8.self).unicodeScalars.map { scalar in
                scalar.properties.generalCategory == .control && scalar != "\n" ? "\u{FFFD}" : Character(scalar)
            }
            return Terminal.print(String(text))
        }
        Terminal.print(bytes: content)
    }

    private static func filter(_ arguments: inout [String]) throws(UsageError) -> InboundMessages.Filter {
        var filter = InboundMessages.Filter()
        options: while let name = arguments.first {
            switch name {
            case "--source": filter.source = try takeValue(&arguments)
            case "--limit": filter.limit = try takeCount(&arguments, 1...10_000)
            case "--status":
                let text = try takeValue(&arguments)
                guard let status = InboundMessage.Status(rawValue: text) else {
                    let known = InboundMessage.Status.allCases.map(\.rawValue).joined(separator: ", ")
                    throw UsageError("--status takes one of \(known), not \(text)")
                }
                filter.status = status
            default: break options
            }
        }
        return filter
    }

    private static func id(_ arguments: inout [String]) throws(UsageError) -> Int64 {
        guard let text = arguments.first, let id = Int64(text), id > 0 else {
            throw UsageError("which message? Its number stands in: drawbridge inbound list")
        }
        arguments.removeFirst()
        return id
    }
}
