import Testing

@testable import Egress

@Suite("URLs that something may be sent to")
struct DestinationTests {
    private func code(_ url: String, _ egressGuard: EgressGuard = EgressGuard()) -> EgressRefusal.Code? {
        do throws(EgressRefusal) {
            _ = try egressGuard.destination(url)
            return nil
        } catch { return error.code }
    }

    @Test("What everybody reads alike is taken, in one form")
    func taken() throws {
        for (url, form) in [
            ("https://receiver.example", "https://receiver.example/"),
            ("HTTPS://Receiver.EXAMPLE.:443/Hooks?a=B&c=%2f", "https://receiver.example/Hooks?a=B&c=%2f"),
            ("https://receiver.example:8443?x", "https://receiver.example:8443/?x"),
            ("https://8.8.8.8/", "https://8.8.8.8/"),
            ("https://[2606:4700:0:0::1111]:8443/", "https://[2606:4700::1111]:8443/"),
            ("https://[::ffff:8.8.8.8]/", "https://8.8.8.8/"),
            ("https://under_score.xn--bcher-kva.example/@:/", "https://under_score.xn--bcher-kva.example/@:/"),
            ("https://1.receiver.example/", "https://1.receiver.example/"),
        ] {
            let destination = try EgressGuard().destination(url)
            #expect(destination.url == form)
        }
        let destination = try EgressGuard().destination("https://Receiver.example.:8443/")
        #expect(destination.host == "receiver.example" && destination.port == 8443)
    }

    @Test(
        "An address of this machine or a private network is one however it is written",
        arguments: [
            "https://127.0.0.1/", "https://10.0.0.1/", "https://169.254.169.254/latest/meta-data/", "https://0.0.0.0/",
            "https://[::1]/", "https://[::]/", "https://[::ffff:127.0.0.1]/", "https://[::ffff:a9fe:a9fe]/",
            "https://[0:0:0:0:0:ffff:10.0.0.1]/", "https://[64:ff9b::a00:1]/", "https://[64:ff9b::127.0.0.1]/",
            "https://[64:ff9b:1::7f00:1]/", "https://[2002:7f00:1::]/", "https://[2001:0:1::]/", "https://[fe80::1]/",
            "https://[::127.0.0.1]/", "https://[fd00:ec2::254]/", "https://localhost/", "https://LOCALHOST./",
            "https://anything.localhost/", "https://255.255.255.255/", "https://224.0.0.1/",
        ])
    func addresses(url: String) { #expect(code(url) == .address) }

    @Test(
        "Other forms that resolvers take for addresses are none",
        arguments: [
            "2130706433", "0x7f000001", "0x7F.1", "017700000001", "127.1", "127.0.1", "0177.0.0.1", "127.0.0.01",
            "127.0.0.1.", "0x7f.0.0.0x1", "4294967296", "1.2.3.4.5", "127.0.0.0x", "receiver.example.1",
            "256.256.256.256",
            "08.8.8.8", "%31%32%37.0.0.1", "[::1%25lo]", "[::1%lo]", "[127.0.0.1]", "[::1", "::1", "[]", "", ".",
            "a..b",
            "[fe80::1%eth0]", "a b", "receiver.example..", "[v1.x]", "a*b", "-a.example", "a-.example",
        ])
    func numbers(host: String) { #expect([.host, .form, .port].contains(code("https://\(host)/")), "\(host)") }

    @Test(
        "What one reader takes for another host than the next is refused",
        arguments: [
            "https://receiver.example@127.0.0.1/", "https://user:secret@receiver.example/",
            "https://@receiver.example/",
            "https://receiver.example\\@127.0.0.1/", "https:\\\\127.0.0.1/", "https://receiver.example#@127.0.0.1/",
            "https://receiver.example/#x", "https:///127.0.0.1/", "https:/127.0.0.1/", "//127.0.0.1/", "127.0.0.1",
            "https://receiver.example:443:80/", "https://receiver.example /", " https://receiver.example/",
            "https://receiver.example/\r\nHost: x", "https://receiver.example/\u{0}", "https://receiver.example/\u{e9}",
            "https://\u{ff11}\u{ff12}\u{ff17}.0.0.1/", "https://127\u{3002}0\u{3002}0\u{3002}1/",
            "https://\u{2488}\u{2488}/", "https://receiver.example/%", "https://receiver.example/%4",
            "https://r.example/%zz",
            "https://receiver.example/<x>", "https://receiver.example/\"", "https://", "", "https", "://x/",
        ])
    func ambiguous(url: String) { #expect(code(url) != nil && code(url) != .address, "\(url)") }

    @Test(
        "Other schemes are refused, also http unless the policy allows it",
        arguments: ["ftp", "file", "gopher", "dict", "HTTP", "http", "httpss", "javascript", "ws", "https+unix"])
    func schemes(scheme: String) throws {
        #expect(code("\(scheme)://receiver.example/") == .scheme)
        var plain = EgressGuard()
        plain.allowsPlain = true
        plain.ports = [80...80]
        let isHTTP = scheme.lowercased() == "http"
        #expect((code("\(scheme)://receiver.example/", plain) == nil) == isHTTP)
    }

    @Test("Only ports that the policy names are sent to")
    func ports() {
        for port in ["22", "80", "1023"] { #expect(code("https://receiver.example:\(port)/") == .port) }
        for port in ["", "0", "65536", "-1", "+443", "4 43", "99999999999999999999", "0x1bb"] {
            #expect([.port, .form].contains(code("https://receiver.example:\(port)/")), "\(port)")
        }
        for port in ["443", "1024", "8443", "65535", "00443"] {
            #expect(code("https://receiver.example:\(port)/") == nil, "\(port)")
        }
    }

    @Test("No more than 2,048 bytes are a URL")
    func length() {
        let url = "https://receiver.example/"
        #expect(code(url + String(repeating: "x", count: 2048 - url.utf8.count)) == nil)
        #expect(code(url + String(repeating: "x", count: 2049 - url.utf8.count)) == .form)
        #expect(code("https://\(String(repeating: "a.", count: 127))a/") == .host)
        #expect(code("https://\(String(repeating: "a", count: 64)).example/") == .host)
    }

    @Test("What is allowed in numbers may be reached by whatever name; what is denied by none")
    func networks() throws {
        var egressGuard = EgressGuard()
        egressGuard.allowed = try #require(AllowList(["10.20.0.0/16", "fd12::/16"]))
        egressGuard.denied = [try #require(Network("10.20.30.0/24")), try #require(Network("8.8.8.0/24"))]
        let destination = try egressGuard.destination("https://receiver.example/")
        for (address, isAllowed) in [
            ("10.20.0.1", true), ("10.21.0.1", false), ("10.20.30.1", false), ("8.8.8.8", false), ("8.8.4.4", true),
            ("fd12::1", true), ("fd13::1", false), ("64:ff9b::10.20.0.1", true), ("64:ff9b::8.8.8.8", false),
            ("::ffff:10.20.0.1", true), ("2002:a14:1::", false),
        ] {
            let refusal = egressGuard.refusal(of: try #require(IPAddress(address)), for: destination)
            #expect((refusal == nil) == isAllowed, "\(address)")
        }
        #expect(code("https://10.20.0.1/", egressGuard) == nil)
        #expect(code("https://10.20.30.1/", egressGuard) == .address)
    }

    @Test("A cloud's credentials are reached where their very address is allowed, and by no network")
    func credentials() throws {
        for (entries, isAllowed) in [
            (["169.254.169.254", "fd00:42::42"], true), (["169.254.169.254/32", "fd00:42::42/128"], true),
            (["169.254.169.254/31", "fd00:42::42/127"], false), (["0.0.0.0/0", "::/0"], false),
            (["169.254.0.0/16", "fd00::/8", "64:ff9b::/96", "receiver.example"], false),
        ] {
            let list = try #require(AllowList(entries))
            var everybody = EgressGuard()
            everybody.allowed = list
            for address in ["169.254.169.254", "fd00:42::42", "64:ff9b::169.254.169.254", "::ffff:169.254.169.254"] {
                let address = try #require(IPAddress(address))
                let all = try everybody.destination("https://receiver.example/")
                #expect((everybody.refusal(of: address, for: all) == nil) == isAllowed, "\(address) by \(entries)")
                let own = try EgressGuard().destination("https://receiver.example/", allowing: list)
                #expect((EgressGuard().refusal(of: address, for: own) == nil) == isAllowed, "\(address) by \(entries)")
            }
        }
    }

    @Test("What is reached through NAT64 is allowed and denied as what it is; NAT64 itself can be denied")
    func translated() throws {
        var egressGuard = EgressGuard()
        egressGuard.allowed = try #require(AllowList(["10.0.0.7", "64:ff9b::/96"]))
        egressGuard.denied = [try #require(Network("8.8.8.8"))]
        let destination = try egressGuard.destination("https://receiver.example/")
        for (address, isAllowed) in [
            ("64:ff9b::10.0.0.7", true), ("64:ff9b::10.0.0.8", false), ("64:ff9b::8.8.8.8", false),
            ("64:ff9b::8.8.4.4", true),
        ] {
            let refusal = egressGuard.refusal(of: try #require(IPAddress(address)), for: destination)
            #expect((refusal == nil) == isAllowed, "\(address)")
        }
        egressGuard.denied = [try #require(Network("64:ff9b::/96"))]
        #expect(egressGuard.refusal(of: try #require(IPAddress("64:ff9b::8.8.4.4")), for: destination) != nil)
        #expect(egressGuard.refusal(of: try #require(IPAddress("8.8.4.4")), for: destination) == nil)
    }

    @Test("What one endpoint may reach no other may")
    func endpoints() throws {
        let own = try #require(AllowList(["10.0.0.7", "Erp.Hotel.Internal."]))
        let address = try #require(IPAddress("10.0.0.7"))
        let (mine, others) = (
            try EgressGuard().destination("https://receiver.example/", allowing: own),
            try EgressGuard().destination("https://receiver.example/")
        )
        #expect(EgressGuard().refusal(of: address, for: mine) == nil)
        #expect(EgressGuard().refusal(of: address, for: others)?.kind == .private)
    }

    @Test("A name that is allowed leads to this machine and private networks, and never to a cloud's credentials")
    func hosts() throws {
        var egressGuard = EgressGuard()
        egressGuard.allowed = try #require(AllowList(["erp.hotel.internal", "localhost"]))
        let destination = try egressGuard.destination("https://ERP.hotel.internal./")
        for (address, isAllowed) in [
            ("10.0.0.1", true), ("127.0.0.1", true), ("fd12::1", true), ("100.64.0.1", true),
            ("169.254.169.254", false),
            ("fd00:ec2::254", false), ("169.254.1.1", false), ("224.0.0.1", false), ("0.0.0.0", false), ("::", false),
        ] {
            let refusal = egressGuard.refusal(of: try #require(IPAddress(address)), for: destination)
            #expect((refusal == nil) == isAllowed, "\(address)")
        }
        #expect(code("https://localhost/", egressGuard) == nil)
        #expect(code("https://other.localhost/", egressGuard) == .address)
        #expect(code("https://127.0.0.1/", egressGuard) == .address)
    }

    @Test(
        "What is neither an address nor a name is not allowed",
        arguments: ["", "10.0.0.0/33", "10.0.0.1/8", "*", "a b", "127.1"])
    func entries(entry: String) {
        #expect(AllowList(["10.0.0.1", entry]) == nil)
    }

    @Test("A proxy in numbers is what it is; one with a name must not lead to what nothing is sent to")
    func proxy() throws {
        let numbers = try #require(ProxyAddress("http://10.0.0.7:3128"))
        let name = try #require(ProxyAddress("http://proxy.hotel.internal:3128/"))
        let (own, other) = (try #require(IPAddress("10.0.0.7")), try #require(IPAddress("10.0.0.8")))
        #expect(EgressGuard().refusal(of: own, for: numbers) == nil)
        #expect(EgressGuard().refusal(of: other, for: numbers)?.kind == .private)
        #expect(EgressGuard().refusal(of: own, for: name)?.kind == .private)
        var egressGuard = EgressGuard()
        egressGuard.allowed = try #require(AllowList(["proxy.hotel.internal"]))
        #expect(egressGuard.refusal(of: own, for: name) == nil)
        for text in [
            "https://10.0.0.7:3128", "http://10.0.0.7:3128/x", "http://u@10.0.0.7/", "10.0.0.7:3128", "socks5://x/",
        ] {
            #expect(ProxyAddress(text) == nil, "\(text)")
        }
    }
}
