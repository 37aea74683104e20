internal import Glibc

/// A user of the operating system.
struct SystemUser: Sendable {
    let name: String
    let id: uid_t
    let groupID: gid_t

    /// Looks a user up by name.
    init?(named name: String) {
        guard let entry = getpwnam(name) else { return nil }
        self.name = name
        id = entry.pointee.pw_uid
        groupID = entry.pointee.pw_gid
    }

    static var isRoot: Bool { geteuid() == 0 }

    /// What to put before a command to run it as this user; it ends with the process that starts it.
    var prefix: [String] {
        // Asked for anew: the kernel forgets it when the user changes.
        ["setpriv", "--reuid", name, "--regid", String(groupID), "--init-groups"] + Tools.endWithParent
    }
}
