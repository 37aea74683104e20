internal import CLibPQ
internal import Glibc

/// A connection string taken apart, so that defaults can be added and hosts rotated.
struct ConnectionParameters: Sendable {
    private var values: [(key: String, value: String)] = []

    /// What we want of a connection unless the connection string says otherwise: a broken network is noticed within a
    /// minute even on a connection that only listens.
    private static let defaults = [
        ("client_encoding", "UTF8"), ("fallback_application_name", "drawbridge"), ("keepalives_idle", "20"),
        ("keepalives_interval", "10"), ("keepalives_count", "3"), ("tcp_user_timeout", "30000"),
    ]

    /// - Throws: `PostgresError` `configuration` with libpq's words, which name the key that is wrong.
    init(_ connectionString: String) throws(PostgresError) {
        var message: UnsafeMutablePointer<CChar>?
        guard let options = PQconninfoParse(connectionString, &message) else {
            defer { PQfreemem(message) }
            throw PostgresError(.configuration, "connection string: \(ServerReport.firstLine(message))")
        }
        defer { PQconninfoFree(options) }
        var option = options
        while let key = option.pointee.keyword {
            if let value = option.pointee.val { values.append((String(cString: key), String(cString: value))) }
            option += 1
        }
        for (key, value) in Self.defaults where !values.contains(where: { $0.key == key }) {
            values.append((key, value))
        }
    }

    /// How many hosts are listed.
    var hostCount: Int {
        values.filter { $0.key == "host" || $0.key == "hostaddr" }.map { $0.value.count { $0 == "," } + 1 }.max() ?? 1
    }

    /// The same with the list of hosts beginning `count` places later.
    ///
    /// libpq applies no time limit per host when it is driven without blocking, so a host that swallows packets would
    /// take every attempt's whole time; after such an attempt the next one begins with the next host.
    func rotated(by count: Int) -> ConnectionParameters {
        var rotated = self
        for index in values.indices where ["host", "hostaddr", "port"].contains(values[index].key) {
            let list = values[index].value.split(separator: ",", omittingEmptySubsequences: false)
            let start = count % list.count
            rotated.values[index].value = (list[start...] + list[..<start]).joined(separator: ",")
        }
        return rotated
    }

    /// Begins a connection. Resolves names, and so may block: to be called on the thread pool.
    func start() -> OpaquePointer? {
        let keys = values.map { strdup($0.key) } + [nil]
        let texts = values.map { strdup($0.value) } + [nil]
        defer {
            for text in keys + texts { free(text) }
        }
        return PQconnectStartParams(keys.map { UnsafePointer($0) }, texts.map { UnsafePointer($0) }, 0)
    }
}
