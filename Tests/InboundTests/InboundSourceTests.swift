import Authentication
import Inbound
import JSONText
import Testing

@Suite("What is done about a message of a source")
struct InboundSourceTests {
    private func source(
        _ identification: InboundSource.Identification = .content, hotels: HotelAccess = .of([3, 4]),
        hotel: InboundSource.HotelMember? = nil
    ) -> InboundSource {
        InboundSource(
            name: "vendor", hotelIDs: hotels, identification: identification, hotelMember: hotel, refresh: .hotel)
    }

    private func key(_ source: InboundSource, _ content: String, _ fields: [String: [String]] = [:]) -> String? {
        source.key(of: Array(content.utf8)) { fields[$0] ?? [] }
    }

    private let place = JSONPointer("/event/hotel")!

    @Test("A message is recognised by the sender's name for it, in a field or in the content")
    func ids() {
        let byField = source(.field("webhook-id"))
        #expect(key(byField, "{}", ["webhook-id": ["msg_1"]]) == "id:msg_1")
        #expect(key(byField, "{\"a\":1}", ["webhook-id": ["msg_1"]]) == "id:msg_1")
        let byMember = source(.member(place))
        #expect(key(byMember, #"{"event":{"hotel":"x"}}"#) == "id:x")
        #expect(key(byMember, #"{"event":{"hotel":17}}"#) == "id:17")
    }

    @Test("Without a name it is recognised by its content, and a name never passes for a content")
    func contents() throws {
        let hash = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
        #expect(key(source(), "{}") == hash)
        for identification in [InboundSource.Identification.field("webhook-id"), .member(place)] {
            #expect(key(source(identification), "{}") == hash)
        }
        #expect(key(source(.field("webhook-id")), "{}", ["webhook-id": ["a", "b"]]) == hash)
        #expect(key(source(.field("webhook-id")), "{}", ["webhook-id": [hash]]) == "id:" + hash)
        #expect(key(source(.nothing), "{}") == nil)
    }

    @Test("A name that is long or cannot be shown stands as its hash")
    func longIDs() throws {
        for id in [String(repeating: "x", count: 256), "a\nb", "é"] {
            let found = try #require(key(source(.field("id")), "{}", ["id": [id]]))
            #expect(found.hasPrefix("id-sha256:") && found.utf8.count == 74)
        }
        #expect(key(source(.field("id")), "{}", ["id": [String(repeating: "x", count: 255)]])?.utf8.count == 258)
    }

    @Test(
        "The hotel is the one that the content names, by its id or by the sender's name for it",
        arguments: [
            (#"{"event":{"hotel":3}}"#, Int32(3), nil), (#"{"event":{"hotel":"4"}}"#, 4, nil),
            (#"{"event":{"hotel":5}}"#, 0, InboundRejection.hotelForeign),
            (#"{"event":{"hotel":0}}"#, 0, .hotelUnknown), (#"{"event":{"hotel":"+3"}}"#, 0, .hotelUnknown),
            (#"{"event":{"hotel":99999999999}}"#, 0, .hotelUnknown), (#"{"event":{"hotel":""}}"#, 0, .hotelUnknown),
            (#"{"event":{"hotel":null}}"#, 0, .hotelMissing), (#"{"event":{}}"#, 0, .hotelMissing),
            (#"[3]"#, 0, .hotelMissing), ("", 0, .unreadable), ("{", 0, .unreadable),
        ] as [(String, Int32, InboundRejection?)])
    func hotels(content: String, hotel: Int32, rejection: InboundRejection?) {
        let source = source(hotel: .init(place: place))
        do throws(InboundRejection) {
            #expect(try source.order(by: Array(content.utf8)) == RefreshOrder(hotel: hotel, refresh: .hotel))
            #expect(rejection == nil)
        } catch { #expect(error == rejection) }
    }

    @Test("A sender's names stand for hotels, and its numbers then do not")
    func names() throws {
        let source = source(hotel: .init(place: JSONPointer("/property")!, names: ["297652": 3]))
        #expect(try source.order(by: Array(#"{"property":297652}"#.utf8)).hotel == 3)
        #expect(throws: InboundRejection.hotelUnknown) { try source.order(by: Array(#"{"property":4}"#.utf8)) }
    }

    @Test("A source of one hotel speaks of that one, whatever it says")
    func onlyHotel() throws {
        #expect(try source(hotels: .of([3])).order(by: [0xFF]).hotel == 3)
        #expect(throws: InboundRejection.hotelMissing) { try source().order(by: []) }
    }
}

@Suite("What becomes of a message")
struct InboundMessageTests {
    private var retries: InboundRetries {
        var retries = InboundRetries()
        retries.attempts = 3
        retries.initialDelay = .seconds(1)
        retries.longestDelay = .seconds(3)
        return retries
    }

    @Test("What failed is tried again as often as the policy says, then it is a dead letter")
    func failures() {
        for attempt in 1...2 {
            let step = InboundMessage(status: .pending, attempts: attempt).after(.failed("away"), retries, random: 0)
            #expect(step.status == .retrying && step.wait == .seconds(attempt) && step.reason == "away")
        }
        let last = InboundMessage(status: .retrying, attempts: 3).after(.failed("away"), retries, random: 0)
        #expect(last.status == .dead && last.wait == nil && last.reason == "away")
    }

    @Test("What is done or rejected is not tried again, and nothing becomes of what has ended")
    func ends() {
        let message = InboundMessage(status: .retrying, attempts: 2)
        #expect(message.after(.done, retries, random: 0).status == .processed)
        let rejected = message.after(.rejected(.hotelForeign), retries, random: 0)
        #expect(rejected.status == .rejected && rejected.wait == nil)
        #expect(rejected.reason == InboundRejection.hotelForeign.words)
        for status in InboundMessage.Status.allCases where !status.isOpen {
            #expect(InboundMessage(status: status, attempts: 1).after(.done, retries, random: 0).status == status)
        }
    }

    @Test("Waits double up to the longest, and are lengthened by half of themselves at most")
    func waits() {
        let waits = [1, 2, 3, 100].map { retries.delay(after: $0, random: 0) }
        #expect(waits == [.seconds(1), .seconds(2), .seconds(3), .seconds(3)])
        #expect(retries.delay(after: 1, random: 1) == .milliseconds(1500))
    }

    @Test("An attempt that ended without a word was one, and after the last there is none")
    func spent() {
        #expect(!InboundMessage(status: .retrying, attempts: 3).isSpent(retries))
        #expect(InboundMessage(status: .retrying, attempts: 4).isSpent(retries))
        #expect(!InboundMessage(status: .dead, attempts: 4).isSpent(retries))
    }
}

@Suite("JSON pointers")
struct JSONPointerTests {
    @Test(
        "The examples of RFC 6901, section 5",
        arguments: [
            ("/foo/0", #""bar""#), ("/", "0"), ("/a~1b", "1"), ("/c%d", "2"), ("/e^f", "3"), ("/g|h", "4"),
            (#"/i\j"#, "5"), (#"/k"l"#, "6"), ("/ ", "7"), ("/m~0n", "8"), ("/foo", #"["bar","baz"]"#),
        ])
    func examples(pointer: String, value: String) throws {
        let document = try JSONValue(
            parsing: Array(
                #"{"foo":["bar","baz"],"":0,"a/b":1,"c%d":2,"e^f":3,"g|h":4,"i\\j":5,"k\"l":6," ":7,"m~n":8}"#.utf8))
        let found = try #require(JSONPointer(pointer)?.value(in: document))
        #expect(found == (try JSONValue(parsing: Array(value.utf8))))
        #expect(JSONPointer("")?.value(in: document) == document)
    }

    @Test("What is no pointer is none, and what leads nowhere finds nothing", arguments: ["a", "/~", "/~2", "/a~"])
    func mistakes(pointer: String) throws {
        #expect(JSONPointer(pointer) == nil)
        let document = try JSONValue(parsing: Array("[[1]]".utf8))
        for nowhere in ["/1", "/00", "/-", "/0/0/0", "/a", "/0/99999999999999999999"] {
            #expect(JSONPointer(nowhere)?.value(in: document) == nil)
        }
    }
}
