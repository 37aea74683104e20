import Glibc
import Loop
import Testing

/// What a first start makes of an empty directory: cluster, PMS, migrations and demo hotels. That takes several times
/// as long as everything else of a start, so it is done once, and every other installation begins with a copy.
///
/// Nothing but the database is copied, with its password and the master key that opens what it keeps locked. What else is
/// an installation's own, its keys, its certificate and its ledger, each makes for itself.
@OnLoop
enum FirstStart {
    private static var making: Task<Node, any Error>?

    /// Makes a home with the database.
    static func copyDatabase(to home: String) async throws {
        let made = try await made().home
        for (path, mode) in [(home, 0o711), ("\(home)/keys", 0o700)] as [(String, mode_t)] { mkdir(path, mode) }
        let copy = try await Files.run(
            [
                "sh", "-c", "cp -a $0/cluster $1 && cp -a $0/keys/database.password $0/keys/master.key $1/keys", made,
                home,
            ])
        try #require(copy.exit.isSuccess, "\(copy.output)")
    }

    /// An installation that was started and stopped, and that nobody starts again.
    private static func made() async throws -> Node {
        if let making { return try await making.value }
        let task = Task {
            let node = try Node()
            Leftovers.add(node.directory)
            try await node.bringUp()
            try #require(try await node.stop().isSuccess)
            return node
        }
        making = task
        return try await task.value
    }
}
