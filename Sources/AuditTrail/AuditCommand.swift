internal import Ledger

/// `drawbridge audit COMMAND …`: what security reviewers read and verify the ledger with.
public struct AuditCommand: Sendable, Equatable {
    /// What is asked for.
    enum Task: Sendable, Equatable {
        case verify(checkpoint: String?, remembered: String?)
        case show(String)
        case follow(QueryOptions)
        case search(QueryOptions)
        case prove(sequence: UInt64)
        case verifyProof(file: String)
        case consistency(old: String, new: String?)
        case export(Format, QueryOptions)
        case lookup(text: String, auditKey: String?)
    }

    /// What other programs read.
    enum Format: String, Sendable {
        case ocsf
        case cef
    }

    /// The usage, for `drawbridge audit help` and mistakes.
    public static let usage = """
        usage: drawbridge audit COMMAND [OPTION …]

          verify              reads every record and says whether all are as they were written and signed; exit 0 or 1
            --checkpoint FILE   checkpoints kept elsewhere: only they show that all was set back or written anew
            --remember FILE     the same, and keeps the newest checkpoint there
          show SEQ|REQUEST-ID the records of a request, decision and outcome
          follow              the newest records and those to come, until Ctrl-C
          search              the records that answer to all of these:
            --since TIME        2026-11-21T10:00:00Z, a day, or how long ago: 90s, 15m, 2h, 7d
            --until TIME
            --principal NAME    the subject, or the application that acts
            --hotel ID
            --route OPERATION
            --verdict VERDICT   allowed, refused
            --rule ID           a firewall rule that matched
            --address ADDRESS   one, or many: 203.0.113.0/24
            --request-id ID
            --limit N           the first N
          lookup TEXT         what stands in records for a guest's address, a token …, and the records that hold it;
                              with - the text is a line of standard input
            --audit-key FILE    the key of these hashes
          prove SEQ           a proof, as a file, that a record is in the ledger
          verify-proof FILE   whether a proof holds; the ledger is not needed, only its key
          consistency OLD-CHECKPOINT [NEW-CHECKPOINT]
                              a proof that the ledger (or the newer checkpoint) continues the older checkpoint
          export              the records of requests for other programs; takes the options of search
            --format ocsf|cef   a JSON object or a CEF line for each

        All take --ledger DIR (the installation's own); verify, prove, verify-proof and consistency --key FILE, a copy of
        the ledger's public keys (DIR/verifiers); show, follow, search and lookup --json, the records as they are.
        """

    let task: Task
    /// The ledger, where it is not the installation's.
    let ledger: String?
    /// The public keys, where they are not those beside the ledger.
    let key: String?
    /// Whether records are given as they are.
    let isRaw: Bool

    /// Reads the arguments behind `audit`; `nil` where help is asked for.
    public init?(_ arguments: some Sequence<String>) throws(AuditUsageError) {
        let words = Array(arguments)
        guard let name = words.first else { throw AuditUsageError("audit what?") }
        let rest = words.dropFirst()
        if name == "help" || name == "-h" || rest.contains("--help") || name == "--help" { return nil }
        let parsed: AuditArguments
        func read(
            _ values: Set<String> = [], _ flags: Set<String> = [], _ operands: String...
        ) throws(AuditUsageError) -> AuditArguments {
            try AuditArguments(rest, values: values.union(["--ledger"]), flags: flags, operands: operands)
        }
        switch name {
        case "verify":
            parsed = try read(["--key", "--checkpoint", "--remember"])
            task = .verify(checkpoint: parsed["--checkpoint"], remembered: parsed["--remember"])
        case "show":
            parsed = try read([], ["--json"], "SEQ or REQUEST-ID")
            task = .show(parsed.operands[0])
        case "follow":
            parsed = try read(QueryOptions.names.subtracting(["--limit", "--until"]), ["--json"])
            task = .follow(try QueryOptions(parsed))
        case "search":
            parsed = try read(QueryOptions.names, ["--json"])
            task = .search(try QueryOptions(parsed))
        case "prove":
            parsed = try read(["--key"], [], "SEQ")
            guard let sequence = UInt64(parsed.operands[0]) else {
                throw AuditUsageError("SEQ is a record's number, not \(parsed.operands[0])")
            }
            task = .prove(sequence: sequence)
        case "verify-proof":
            parsed = try read(["--key"], [], "FILE")
            task = .verifyProof(file: parsed.operands[0])
        case "consistency":
            parsed = try read(["--key"], [], "OLD-CHECKPOINT", "[NEW-CHECKPOINT]")
            task = .consistency(old: parsed.operands[0], new: parsed.operands.dropFirst().first)
        case "export":
            parsed = try read(QueryOptions.names.union(["--format"]))
            guard let format = parsed["--format"].map(Format.init(rawValue:)) ?? .ocsf else {
                throw AuditUsageError("--format takes ocsf or cef, not \(parsed["--format"]!)")
            }
            task = .export(format, try QueryOptions(parsed))
        case "lookup":
            parsed = try read(["--audit-key"], ["--json"], "TEXT")
            task = .lookup(text: parsed.operands[0], auditKey: parsed["--audit-key"])
        default: throw AuditUsageError("no such audit command: \(name)")
        }
        ledger = parsed["--ledger"]
        key = parsed["--key"]
        isRaw = parsed.has("--json")
    }
}

/// What a search is asked for, before the clock is looked at.
struct QueryOptions: Sendable, Equatable {
    static let names: Set<String> = [
        "--since", "--until", "--principal", "--hotel", "--route", "--verdict", "--rule", "--address", "--request-id",
        "--limit",
    ]

    private let since: String?
    private let until: String?
    private let principal: String?
    private let hotel: Int64?
    private let route: String?
    private let verdict: String?
    private let rule: Int64?
    private let address: String?
    private let requestID: String?
    private let limit: Int?

    init(_ arguments: AuditArguments) throws(AuditUsageError) {
        since = arguments["--since"]
        until = arguments["--until"]
        for (name, time) in [("--since", since), ("--until", until)] {
            if let time, Timestamp.parse(time, now: 0) == nil {
                throw AuditUsageError("\(name) takes \(Timestamp.expected), not \(time)")
            }
        }
        principal = arguments["--principal"]
        hotel = try arguments.number("--hotel", in: 0...Int64(Int32.max))
        route = arguments["--route"]
        verdict = arguments["--verdict"]
        rule = try arguments.number("--rule", in: 0...Int64.max)
        address = arguments["--address"]
        if let address, AddressRange(address) == nil {
            throw AuditUsageError("--address takes an IP address or range, not \(address)")
        }
        requestID = arguments["--request-id"]
        limit = try arguments.number("--limit", in: 1...Int64(Int.max)).map { Int($0) }
    }

    /// - Parameter now: in milliseconds since 1970.
    func query(now: Int64) -> TrailQuery {
        TrailQuery(
            since: since.flatMap { Timestamp.parse($0, now: now) },
            until: until.flatMap { Timestamp.parse($0, now: now) },
            principal: principal, hotel: hotel, route: route, verdict: verdict, rule: rule,
            address: address.flatMap { AddressRange($0) }, requestID: requestID, limit: limit)
    }
}
