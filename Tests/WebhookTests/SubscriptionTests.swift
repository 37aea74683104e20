import Booking
import Testing

@testable import Webhook

@Suite("What a subscription may ask for") struct SubscriptionTests {
    private static let url = "https://hooks.example/drawbridge?tenant=7"
    private static let least = #"{"url":"\#(url)","events":["booking.created"]}"#

    private func request(_ json: String, plain: Bool = false) throws -> SubscriptionRequest {
        try SubscriptionRequest(json: Array(json.utf8), allowsPlainLoopback: plain)
    }

    private func change(_ json: String) throws -> SubscriptionChange {
        try SubscriptionChange(json: Array(json.utf8), allowsPlainLoopback: false)
    }

    /// Where the mistakes of a body are.
    private func pointers(_ body: () throws -> some Any) -> [String] {
        do { _ = try body() } catch let error as InvalidRequest {
            #expect(!error.errors.isEmpty)
            return error.errors.map(\.pointer)
        } catch { Issue.record(error) }
        return []
    }

    @Test("Where nothing is said, it is as usual") func defaults() throws {
        let request = try request(Self.least)
        let subscription = request.subscription(orHotels: [3, 7])
        var expected = Subscription(url: Self.url, events: [.bookingCreated], hotels: [3, 7])
        #expect(subscription == expected && request.secret == nil)
        #expect(subscription.payload == .full && !subscription.isOrdered && !subscription.isAsymmetric)
        #expect(subscription.retryPolicy == .standard && subscription.maximumInFlight == 20)
        expected.hotels = nil
        #expect(request.subscription(orHotels: nil) == expected)
    }

    @Test("All that can be said is taken; lists are sets") func everything() throws {
        let secret = WebhookSecret()
        let request = try request(
            #"""
            {"url":"\#(Self.url)","events":["sync.failed","booking.created","sync.failed"],"hotel_ids":[7,"3",7],
            "secret":"\#(secret.text)","retryPolicy":{"maxRetries":2,"backoff":"linear"},"description":"the shop's",
            "payload":"thin","in_order":true,"asymmetric":true,"max_in_flight":3,"max_per_second":20}
            """#)
        let subscription = request.subscription(orHotels: nil)
        #expect(subscription.events == [.bookingCreated, .syncFailed] && subscription.hotels == [3, 7])
        #expect(request.secret == secret && subscription.description == "the shop's")
        #expect(subscription.retryPolicy == (try WebhookRetryPolicy(maximumRetries: 2, backoff: .linear)))
        #expect(subscription.payload == .thin && subscription.isOrdered && subscription.isAsymmetric)
        #expect(subscription.maximumInFlight == 3 && subscription.maximumRate == 20)
    }

    @Test("No hotels named are all; null is every hotel, whoever asks") func everyHotel() throws {
        let json = #"{"url":"\#(Self.url)","events":["booking.created"],"hotel_ids":null}"#
        #expect(try request(json).subscription(orHotels: [3]).hotels == nil)
    }

    @Test(
        "Each mistake is told where it is",
        arguments: [
            (#""url":7"#, ["/url"]), (#""url":"http://hooks.example/""#, ["/url"]), (#""events":[]"#, ["/events"]),
            (#""events":["booking.created","booking.deleted",7]"#, ["/events/1", "/events/2"]),
            (#""events":"booking.created""#, ["/events"]), (#""hotel_ids":[]"#, ["/hotel_ids"]),
            (#""hotel_ids":[0,1,-1,"x",2147483648,1.5]"#, (0...5).filter { $0 != 1 }.map { "/hotel_ids/\($0)" }),
            (#""hotel_ids":[\#((1...201).map { "\($0)" }.joined(separator: ","))]"#, ["/hotel_ids"]),
            (#""secret":"whsec_dG9vIHNob3J0""#, ["/secret"]), (#""secret":7"#, ["/secret"]),
            (
                #""retryPolicy":{"maxRetries":21,"backoff":"never","x":1}"#,
                [
                    "/retryPolicy/maxRetries", "/retryPolicy/backoff", "/retryPolicy/x",
                ]
            ), (#""retryPolicy":[]"#, ["/retryPolicy"]),
            (#""description":"""#, ["/description"]), (#""description":"a\u0000""#, ["/description"]),
            (#""description":"\#(String(repeating: "x", count: 201))""#, ["/description"]),
            (#""payload":"slim""#, ["/payload"]), (#""in_order":"yes""#, ["/in_order"]),
            (#""asymmetric":1"#, ["/asymmetric"]), (#""max_in_flight":0"#, ["/max_in_flight"]),
            (#""max_in_flight":101"#, ["/max_in_flight"]), (#""max_per_second":0"#, ["/max_per_second"]),
            (#""max_per_second":1001"#, ["/max_per_second"]), (#""surprise":1"#, ["/surprise"]),
        ])
    func mistakes(member: String, expected: [String]) {
        #expect(pointers { try change("{\(member)}") } == expected || member.hasPrefix(#""secret""#))
        let rest = [#""url":"\#(Self.url)""#, #""events":["booking.created"]"#]
            .filter { !member.hasPrefix($0.prefix(6)) }
        #expect(pointers { try request("{\(([member] + rest).joined(separator: ","))}") } == expected)
    }

    @Test("Address and events are needed, and an object") func required() {
        #expect(pointers { try request("{}") } == ["/url", "/events"])
        for text in ["", "[", "[]", "7", "null"] { #expect(!pointers { try request(text) }.isEmpty, "\(text)") }
    }

    @Test("A mistake repeats nothing of a secret") func quiet() {
        do { _ = try request(#"{"url":"x","events":["sync.failed"],"secret":"whsec_hushhush"}"#) } catch {
            #expect(!"\(error)".contains("hush"))
        }
    }

    @Test("A change leaves what it does not name, and takes away what is null") func changes() throws {
        var before = Subscription(url: Self.url, events: [.bookingCreated], hotels: [3])
        before.description = "old"
        before.maximumRate = 5
        #expect(try change("{}").applied(to: before) == before)
        let after = try change(
            #"{"description":null,"hotel_ids":null,"payload":null,"url":null,"events":null}"#
        ).applied(to: before)
        (before.description, before.hotels) = (nil, nil)
        #expect(after == before)
        let moved = try change(#"{"url":"https://b.example","events":["sync.failed"],"hotel_ids":["9"]}"#)
        #expect(moved.applied(to: before).url == "https://b.example")
        #expect(moved.applied(to: before).events == [.syncFailed] && moved.applied(to: before).hotels == [9])
        #expect(moved.applied(to: before).maximumRate == 5 && moved.isEnabled == nil)
        #expect(try change(#"{"enabled":false}"#).isEnabled == false)
        #expect(pointers { try change(#"{"secret":"x"}"#) } == ["/secret"])
    }

    @Test("Another secret is asked for with or without one") func rotation() throws {
        let empty = try SecretRotation(json: [])
        #expect(empty.secret == nil && empty.overlapInHours == 24)
        let (secret, now) = (WebhookSecret(), #","overlap_hours":0}"#)
        let rotation = try SecretRotation(json: Array((#"{"secret":"\#(secret.text)""# + now).utf8))
        #expect(rotation.secret == secret && rotation.overlapInHours == 0)
        for json in [#"{"overlap_hours":25}"#, #"{"overlap_hours":-1}"#, #"{"x":1}"#, "[]", "{"] {
            #expect(!pointers { try SecretRotation(json: Array(json.utf8)) }.isEmpty, "\(json)")
        }
    }

    @Test("The query of an address is not for logs") func masked() {
        var subscription = Subscription(url: Self.url, events: [.syncFailed], hotels: nil)
        #expect(subscription.maskedURL == "https://hooks.example/drawbridge?***")
        subscription.url = "https://hooks.example/a"
        #expect(subscription.maskedURL == "https://hooks.example/a")
    }
}

@Suite("Addresses of endpoints") struct EndpointAddressTests {
    @Test(
        "What leads to a host by https is taken",
        arguments: [
            "https://hooks.example", "https://hooks.example/", "https://HOOKS.example:8443/a/b?c=d&e=f%20g",
            "https://xn--caf-dma.example/x", "https://192.0.2.1/hook", "https://[2001:db8::1]:443/x", "https://a",
            "https://hooks.example?x=1@2", "https://hooks.example/a:b@c", "https://a_b.example",
        ])
    func taken(url: String) {
        #expect(EndpointAddress.fault(of: url, allowsPlainLoopback: false) == nil)
    }

    @Test(
        "What does not is refused",
        arguments: [
            "", "hooks.example", "//hooks.example", "ftp://hooks.example/", "httpss://hooks.example",
            "HTTPS://hooks.example",
            "https:hooks.example",
            "https://", "https:///x", "https://:443/", "https://hooks.example:/x", "https://hooks.example:0",
            "https://hooks.example:65536", "https://hooks.example:4x3", "https://hooks.example:+80",
            "https://user@hooks.example",
            "https://user:pass@hooks.example/", "https://hooks.example/#a", "https://hooks example/",
            "https://hooks.example/ä",
            "https://hooks.example/\n", "https://-a.example", "https://a-.example", "https://a..example",
            "https://.example",
            "https://127.1/", "https://0x7f000001/", "https://2130706433/", "https://[::1", "https://[]",
            "https://[::1]x", "https://[::1]:x",
            "https://[fe80::1%25eth0]/",
            "https://[abc]", "https://a.example/<script>", "https://a.example/%zz", "https://a.example/?x=%2",
            "https://a.example/a[1]", "https://a.example\\b", "javascript:alert(1)",
            "https://" + String(repeating: "a", count: 64) + ".example",
            "https://" + Array(repeating: "abcdefgh", count: 29).joined(separator: ".") + "/",
            "https://a.example/" + String(repeating: "a", count: 2048 - 17),
        ])
    func refused(url: String) {
        let fault = EndpointAddress.fault(of: url, allowsPlainLoopback: true)
        #expect(fault != nil)
        #expect(url.isEmpty || fault?.contains(url) == false)
    }

    @Test("The longest address is taken") func longest() {
        let url = "https://a.example/"
        let fault = EndpointAddress.fault(
            of: url + String(repeating: "a", count: 2048 - url.utf8.count), allowsPlainLoopback: false)
        #expect(fault == nil)
    }

    @Test(
        "Plain http is for this machine's loopback, and only where that is allowed",
        arguments: [
            ("http://127.0.0.1:9000/hook", true), ("http://127.255.3.4", true), ("http://localhost:1/x", true),
            ("http://[::1]:80/x", true), ("http://hooks.example/", false), ("http://128.0.0.1/", false),
            ("http://127.0.0.1.example/", false), ("http://127.0.0.256/", false), ("http://127.1/", false),
            ("http://localhost.example/", false), ("http://0.0.0.0/", false), ("http://[::ffff:127.0.0.1]/", true),
            ("http://LOCALHOST.:80/", true), ("HTTP://localhost/", false),
        ])
    func plain(url: String, isLoopback: Bool) {
        #expect((EndpointAddress.fault(of: url, allowsPlainLoopback: true) == nil) == isLoopback)
        #expect(EndpointAddress.fault(of: url, allowsPlainLoopback: false) != nil)
    }
}

@Suite("Ids of endpoints") struct EndpointIDTests {
    @Test("An id is read as it is written, and no two are the same") func roundTrip() {
        let ids = Set((0..<100).map { _ in EndpointID.random() })
        #expect(ids.count == 100 && ids.allSatisfy { EndpointID($0.description.uppercased()) == $0 })
        for text in ["", "x", "0b4f6c1e-0000-4000-8000-00000000000", "0b4f6c1e00004000800000000000000a"] {
            #expect(EndpointID(text) == nil)
        }
    }
}
