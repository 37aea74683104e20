import Glibc
import Testing

@testable import Installation

/// What another user may have prepared in a home, for a `drawbridge up` that root runs.
@Suite("Ownership")
struct OwnershipTests {
    private let directory: TemporaryDirectory
    private let home: Home

    init() throws {
        directory = try TemporaryDirectory()
        home = Home(path: directory.file("home"))
    }

    @Test("A home, or a part of it, of somebody else is refused", .enabled(if: SystemUser.isRoot), arguments: parts)
    func foreign(part: String) throws {
        try home.create()
        let nobody = try #require(SystemUser(named: "nobody"))
        #expect(chown(home.path + part, nobody.id, nobody.groupID) == 0)
        expectRefusal("belongs to somebody else") { try home.create() }
    }

    @Test("Of a home of somebody else nobody says that nothing runs there", .enabled(if: SystemUser.isRoot))
    func foreignHome() throws {
        try home.create()
        let nobody = try #require(SystemUser(named: "nobody"))
        #expect(chown(home.path, nobody.id, nobody.groupID) == 0)
        expectRefusal("belongs to another user") { try home.requireOwn() }
    }

    @Test("A home, or a part of it, that others may write to is refused", arguments: parts)
    func writable(part: String) throws {
        try home.create()
        chmod(home.path + part, 0o770)
        expectRefusal("others may write to") { try home.create() }
    }

    @Test("A link in the place of a home, or of a part of it, is refused", arguments: parts)
    func linked(part: String) throws {
        try home.create()
        let moved = directory.file("moved")
        #expect(rename(home.path + part, moved) == 0)
        #expect(symlink(moved, home.path + part) == 0)
        expectRefusal("is no directory") { try home.create() }
    }

    @Test("Links in the place of files are not followed", arguments: ["lock", "postgresql.log", "keys/hop.key"])
    func links(name: String) throws {
        try home.create()
        let victim = directory.file("victim")
        try File.write("untouched", to: victim, mode: 0o600)
        #expect(symlink(victim, home.file(name)) == 0)
        expectRefusal("is a symbolic link") { try use(name) }
        #expect(try File.readText(victim) == "untouched")
    }

    @Test(
        "Files of somebody else are not used", .enabled(if: SystemUser.isRoot),
        arguments: ["lock", "postgresql.log", "keys/hop.key", "keys/demo-issuer.private.pem"])
    func foreignFiles(name: String) throws {
        try home.create()
        let nobody = try #require(SystemUser(named: "nobody"))
        try File.write("theirs\n", to: home.file(name), mode: 0o600, owner: nobody)
        expectRefusal("belongs to somebody else") { try use(name) }
        #expect(try File.readText(home.file(name)) == "theirs\n")
    }

    @Test(
        "A link in the place of the database's directory of sockets is not given away", .enabled(if: SystemUser.isRoot))
    func databaseDirectory() throws {
        try home.create()
        let nobody = try #require(SystemUser(named: "nobody"))
        _ = try RunDirectory.prepare(home, guest: nobody, isReachable: true)
        #expect(File.status(home.file("run/postgresql"))?.st_uid == nobody.id)
        let victim = directory.file("victim")
        mkdir(victim, 0o700)
        rmdir(home.file("run/postgresql"))
        #expect(symlink(victim, home.file("run/postgresql")) == 0)
        expectRefusal("is no directory") { _ = try RunDirectory.prepare(home, guest: nobody, isReachable: true) }
        #expect(File.status(victim)?.st_uid == 0)
    }

    @Test("A pipe is refused at once, a file without end after the bound")
    func reading() throws {
        let pipe = directory.file("pipe")
        mkfifo(pipe, 0o600)
        expectRefusal("is no regular file") { _ = try File.read(pipe) }
        try File.write("12345", to: directory.file("long"), mode: 0o600)
        expectRefusal("has more than 4 bytes") { _ = try File.read(directory.file("long"), bound: 4) }
        #expect(try File.read(directory.file("long"), bound: 5)?.count == 5)
    }

    private static let parts = ["", "/keys", "/tls"]

    private func use(_ name: String) throws {
        switch name {
        case "lock": _ = try HomeLock(home)
        case "postgresql.log": _ = try BoundedLog.open(home.file(name))
        default: _ = try Secrets.prepare(home)
        }
    }

    private func expectRefusal(_ words: String, _ body: () throws -> Void) {
        do {
            try body()
            Issue.record("nothing was refused")
        } catch { #expect("\(error)".contains(words), "\(error)") }
    }
}
