import Glibc
import Lifecycle
import Testing

@testable import Installation

@Suite("Run directory")
struct RunDirectoryTests {
    @Test("Sockets are in the home where their paths fit")
    func inHome() throws {
        let directory = try TemporaryDirectory()
        let home = Home(path: directory.path)
        let run = try RunDirectory.prepare(home)
        #expect(run.path == directory.file("run"))
        #expect(mode(run.path) == 0o700)
    }

    @Test("A home too deep for a socket's path gets a short directory, which run links to, for as long as it runs")
    func tooDeep() throws {
        let directory = try TemporaryDirectory()
        let home = Home(path: directory.file(String(repeating: "deep/", count: 20) + "home"))
        try home.create()
        let run = try RunDirectory.prepare(home, guest: nil, isReachable: true, shortParent: directory.path)
        #expect("\(run.path)/\(RunDirectory.longestSocketName)".utf8.count <= SocketPath.bound)
        #expect(File.resolve(home.file("run")) == File.resolve(run.path))
        #expect(try RunDirectory.prepare(home, guest: nil, isReachable: true, shortParent: directory.path) == run)
        run.remove(home)
        #expect(!File.exists(run.path))
        #expect(File.names(in: home.path) == ["keys", "tls"])
    }

    @Test("A comma, which PostgreSQL takes for the end of a path, is in no path of a socket")
    func comma() throws {
        let directory = try TemporaryDirectory()
        let home = Home(path: directory.file("a,b"))
        try home.create()
        let run = try RunDirectory.prepare(home, guest: nil, isReachable: true, shortParent: directory.path)
        #expect(!run.path.contains(","))
        #expect(File.resolve(home.file("run")) == File.resolve(run.path))
    }

    @Test("The longest path that fits is used, one byte more is not", arguments: [0, 1])
    func boundary(surplus: Int) throws {
        let directory = try TemporaryDirectory()
        let room = SocketPath.bound - "/run/".utf8.count - RunDirectory.longestSocketName.utf8.count
        let name = String(repeating: "h", count: room - directory.path.utf8.count - 1 + surplus)
        let home = Home(path: directory.file(name))
        try home.create()
        let run = try RunDirectory.prepare(home, guest: nil, isReachable: true, shortParent: directory.path)
        #expect((run.path == home.file("run")) == (surplus == 0))
    }

    @Test("A home that the database's user cannot enter gets a directory elsewhere")
    func unreachable() throws {
        let directory = try TemporaryDirectory()
        let home = Home(path: directory.file("home"))
        try home.create()
        let run = try RunDirectory.prepare(home, guest: nil, isReachable: false, shortParent: directory.path)
        #expect(run.path != home.file("run"))
    }

    @Test("A short directory that is no directory of ours is refused")
    func squatted() throws {
        let directory = try TemporaryDirectory()
        let home = Home(path: directory.file("home"))
        try home.create()
        try File.link(directory.file("drawbridge-\(home.tag)"), to: "/tmp")
        #expect(throws: InstallationError.self) {
            try RunDirectory.prepare(home, guest: nil, isReachable: false, shortParent: directory.path)
        }
    }
}
