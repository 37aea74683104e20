internal import Authentication
internal import Installation
internal import Loop

/// `drawbridge key`: the API keys of the installation.
enum Key {
    static func run(_ options: KeyOptions) throws {
        try Loop.run {
            let keys = try APIKeys(.current, try Settings(), tools: Tools())
            switch options {
            case .create(let grant, let days): show(try await keys.create(grant, lifetimeInDays: days))
            case .rotate(let id, let overlap, let days):
                show(try await keys.rotate(id, overlapInDays: overlap, lifetimeInDays: days))
                Terminal.complain(
                    overlap == 0 ? "key \(id) is revoked" : "key \(id) goes on working for at most \(overlap) days")
            case .revoke(let id):
                try await keys.revoke(id)
                Terminal.complain("key \(id) is revoked")
            case .revokeAll(let client):
                Terminal.complain("\(try await keys.revokeAll(ofClient: client)) keys of \(client) are revoked")
            case .list: show(try await keys.list())
            }
        }
    }

    /// The key alone goes to standard output, so that a script can take it.
    private static func show(_ made: APIKeys.Made) {
        Terminal.print(made.key.text)
        Terminal.complain("key \(made.id), good until \(made.expiresAt); it is shown this once and stored nowhere")
    }

    private static func show(_ rows: [[String]]) {
        Terminal.print(
            table: ["ID", "CLIENT", "HOTEL", "SCOPES", "STATE", "GOOD UNTIL", "LAST USED", "DESCRIPTION"], rows)
    }
}
