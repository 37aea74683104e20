internal import Glibc

/// The directory that only the ledger's process may enter. Where the installation is root's, that process is a user of
/// its own, whom it becomes by entering: what the gateways' workers are, it is not.
public enum LedgerHome {
    /// The user, where the installation is root's. `Scripts/packages` makes it.
    static let userName = "drawbridge-ledger"

    /// The user whom the directory belongs to; `nil` for the installation's own.
    static var user: SystemUser? { SystemUser.isRoot ? SystemUser(named: userName) : nil }

    /// Makes the directory, or gives what is in it to the user it should belong to.
    public static func prepare(_ home: Home) throws {
        let user = user
        if let user, let status = File.status(home.ledgerDirectory), status.st_uid == geteuid() {
            // A ledger that was begun before there was such a user. Only while nobody else may enter: whoever could
            // move names around would be given other files as well.
            try give(home.ledgerDirectory, to: user)
        }
        try File.makeDirectory(home.ledgerDirectory, mode: 0o700, owner: user)
    }

    private static func give(_ directory: String, to user: SystemUser) throws {
        for name in File.names(in: directory) {
            let path = "\(directory)/\(name)"
            var status = stat()
            guard lstat(path, &status) == 0 else { throw File.failure(path) }
            if status.st_uid != user.id, lchown(path, user.id, user.groupID) != 0 { throw File.failure(path) }
            if status.st_mode & S_IFMT == S_IFDIR { try give(path, to: user) }
        }
    }
}
