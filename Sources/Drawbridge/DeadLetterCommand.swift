internal import Installation
internal import Loop

/// `drawbridge dead-letters`: writes into the PMS that failed as often as they are tried.
enum DeadLetterCommand: Equatable {
    case list(DeadLetters.Filter)
    case show(Int64)
    case retry(Int64)
    case abandon(Int64, reason: String)

    static let usage = """
          dead-letters
                   writes into the PMS that failed and wait for somebody to decide
            list [--hotel ID] [--status dead|pending|retrying|resolved|abandoned (dead)] [--limit N (100)]
            show ID
            retry ID                     tries it again at once, as often as the policy says
            abandon ID --reason TEXT     lets it never be done
        """

    init(_ arguments: inout [String]) throws(UsageError) {
        guard !arguments.isEmpty else { throw UsageError("dead-letters: list, show, retry or abandon?") }
        switch arguments.removeFirst() {
        case "list": self = .list(try Self.filter(&arguments))
        case "show": self = .show(try Self.id(&arguments))
        case "retry": self = .retry(try Self.id(&arguments))
        case "abandon":
            let id = try Self.id(&arguments)
            guard arguments.first == "--reason" else { throw UsageError("dead-letters abandon needs --reason") }
            let reason = try takeValue(&arguments)
            guard reason.unicodeScalars.count <= DeadLetters.longestReason else {
                throw UsageError("--reason takes up to \(DeadLetters.longestReason) characters")
            }
            self = .abandon(id, reason: reason)
        case let other: throw UsageError("dead-letters: no such command: \(other)")
        }
    }

    func run() throws {
        try Loop.run {
            let letters = try DeadLetters(.current, try Settings(), tools: Tools())
            switch self {
            case .list(let filter):
                Terminal.print(
                    table: ["ID", "OPERATION", "HOTEL", "BOOKING", "STATUS", "ATTEMPTS", "SINCE", "ERROR"],
                    try await letters.list(filter))
            case .show(let id): for (name, value) in try await letters.show(id) { Terminal.print("\(name): \(value)") }
            case .retry(let id):
                try await letters.retry(id)
                Terminal.complain("\(id) is tried again; see what becomes of it: drawbridge dead-letters show \(id)")
            case .abandon(let id, let reason):
                try await letters.abandon(id, reason: reason)
                Terminal.complain("\(id) is abandoned")
            }
        }
    }

    private static func filter(_ arguments: inout [String]) throws(UsageError) -> DeadLetters.Filter {
        var filter = DeadLetters.Filter()
        options: while let name = arguments.first {
            switch name {
            case "--hotel": filter.hotelID = try takeHotel(&arguments, unless: filter.hotelID)
            case "--limit": filter.limit = try takeCount(&arguments, 1...10_000)
            case "--status":
                let text = try takeValue(&arguments)
                guard let status = DeadLetters.Status(rawValue: text) else {
                    let known = DeadLetters.Status.allCases.map(\.rawValue).joined(separator: ", ")
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
            throw UsageError("which dead letter? Its number stands in: drawbridge dead-letters list")
        }
        arguments.removeFirst()
        return id
    }
}
