import Testing

@testable import Installation

@Suite("Texts an installation reads and writes")
struct TextTests {
    @Test(
        "A home's path is absolute and tidy",
        arguments: [("/a/b", "/a/b"), ("/a//b/", "/a/b"), ("/a/./b", "/a/b"), ("/a/x/../b", "/a/b"), ("/..", "/")])
    func homePath(given: String, expected: String) {
        #expect(Home(path: given).path == expected)
    }

    @Test("Ports come from the environment, empty is unset")
    func settings() throws {
        let settings = try Settings { ["DRAWBRIDGE_PORT": "0", "DRAWBRIDGE_ADMIN_PORT": "", "DATABASE_URL": ""][$0] }
        #expect(settings.port == 0)
        #expect(settings.adminPort == nil)
        #expect(settings.databaseURL == nil)
    }

    @Test("What is no port is refused", arguments: ["x", "-1", "65536", "8443 "])
    func badPort(text: String) {
        #expect(throws: InstallationError.self) { try Settings { $0 == "DRAWBRIDGE_PORT" ? text : nil } }
    }

    @Test(
        "What is no connection string is refused, and not shown",
        arguments: ["garbage", "mysql://me:secret@db/pms?a=b", "//db/pms", "jdbc:postgresql://db/pms"])
    func badURL(text: String) {
        for name in ["DATABASE_URL", "PMS_DATABASE_URL"] {
            let error = #expect(throws: InstallationError.self) { try Settings { $0 == name ? text : nil } }
            #expect(error?.message == "\(name) is no connection string of PostgreSQL")
        }
    }

    @Test("A text as a constant of SQL ends nowhere before its end")
    func literal() {
        #expect(Database.literal("aZ-09") == "U&'aZ-09'")
        #expect(Database.literal("x'y\\\n日") == #"U&'x\+000027y\+00005c\+00000a\+0065e5'"#)
    }

    @Test(
        "A connection string is parted from its password",
        arguments: [
            ("postgresql://me:p%40ss@db.example/pms", "p@ss", "postgresql://me@db.example/pms"),
            ("postgresql://me:pw@/pms?host=%2Frun", "pw", "postgresql://me@/pms?host=%2Frun"),
            ("postgresql://me:pw@a:1,b:2/pms?x=y@z", "pw", "postgresql://me@a:1,b:2/pms?x=y@z"),
            ("postgresql://me@db/pms", nil, "postgresql://me@db/pms"),
            ("postgresql://db:5432/pms", nil, "postgresql://db:5432/pms"),
            ("host=db dbname=pms", nil, "host=db dbname=pms"),
            ("postgresql://me:p?w@db/pms", "p?w", "postgresql://me@db/pms"),
            ("postgresql://db/pms?user=u&password=p%26w", "p&w", "postgresql://db/pms?user=u"),
            ("postgres://db/pms?p%61ssword=pw", "pw", "postgres://db/pms"),
            ("postgresql://me:first@db/pms?sslpassword=s&password=pw", "pw", "postgresql://me@db/pms"),
            ("host=db password=pw dbname=pms", "pw", "host=db dbname=pms"),
            (#"host=db password = 'p w\'x\\' user='a b'"#, #"p w'x\"#, "host=db user='a b'"),
            (#"password=p\ w"#, "p w", ""),
            ("host=db password='open", "open", "host=db"),
            ("pms", nil, "pms"),
        ] as [(String, String?, String)])
    func connectionString(text: String, password: String?, rest: String) {
        let parts = ConnectionString(text)
        #expect(parts.password == password)
        #expect(parts.rest == rest)
    }

    @Test("Percent-encoding keeps every text", arguments: ["", "a b/c", "日本", "%", "100%zz"])
    func percentEncoding(text: String) {
        #expect(PercentEncoding.decode(PercentEncoding.encode(text)) == text)
    }

    @Test("A server is ready when its note says so, of this process")
    func postmasterFile() {
        let text = "4242\n/data\n1795232830\n5432\n/run\n\n  1234  5\nready   \n"
        let file = PostmasterFile(text)
        #expect(file?.isReady(processID: 4242) == true)
        #expect(file?.isReady(processID: 4243) == false)
        #expect(PostmasterFile("4242\n/data\n")?.isReady(processID: 4242) == false)
        #expect(PostmasterFile("") == nil)
    }
}
