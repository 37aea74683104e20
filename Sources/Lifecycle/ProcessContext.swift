internal import Glibc
public import Loop

/// What the supervisor tells and hands down to a process it starts.
public struct ProcessContext: Sendable {
    /// The directory with the policy files.
    public let policies: String

    /// The installation's directory.
    public let home: String

    /// Where the installation's sockets are: `run` in its directory, or the shorter path it leads to.
    public let run: String

    /// Which of the gateway's workers this is, from 0.
    public let worker: Int

    /// What was asked for besides, such as `--migrate`.
    public let flags: Set<String>

    /// What was named besides, by its option, such as `--hotel`.
    public let values: [String: String]

    private let sockets: [(name: String, descriptor: Int32)]

    /// A process that was started with words it does not understand.
    public struct UsageError: Error, CustomStringConvertible {
        public let description: String
    }

    /// Reads the command line and the sockets of this process. To be called once, because sockets are taken over.
    ///
    /// - Throws: `UsageError`.
    public init(
        arguments: [String] = CommandLine.arguments, flags known: Set<String> = [], values named: Set<String> = []
    ) throws {
        var values: [String: String] = [:]
        var flags: Set<String> = []
        var rest = arguments.dropFirst()
        while let word = rest.popFirst() {
            if known.contains(word) {
                flags.insert(word)
            } else if ["--config", "--home", "--worker"].contains(word) || named.contains(word),
                let value = rest.popFirst()
            {
                values[word] = value
            } else {
                throw UsageError(description: "usage: \(arguments.first ?? "") --config DIR --home DIR [--worker N]")
            }
        }
        guard let policies = values["--config"], let home = values["--home"],
            let worker = Int(values["--worker"] ?? "0"), worker >= 0
        else {
            throw UsageError(description: "usage: \(arguments.first ?? "") --config DIR --home DIR [--worker N]")
        }
        self.policies = policies
        self.home = home
        run = SocketPath.directory("\(home)/run")
        self.worker = worker
        self.flags = flags
        self.values = values.filter { named.contains($0.key) }
        sockets = try ListeningSocket.inherited()
    }

    /// The names of the sockets that were handed down.
    public var socketNames: [String] { sockets.map(\.name) }

    /// The socket handed down under `name`, or, where the process was started by hand, one that `bind` makes.
    public func socket(
        _ name: String, orBind bind: () throws -> ListeningSocket
    ) throws -> ListeningSocket {
        if let socket = sockets.first(where: { $0.name == name }) {
            return try ListeningSocket(inherited: socket.descriptor)
        }
        return try bind()
    }
}
