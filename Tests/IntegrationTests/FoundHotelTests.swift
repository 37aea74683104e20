import HTTP
import Loop
import Testing

@Suite("The hotel of a request that names none")
struct FoundHotelTests {
    init() { Loop.runInBackground() }

    @Test("is told by the bridge to the gateway alone, and stands in the ledger")
    @OnLoop func found() async throws {
        let node = try Node()
        try await node.start()
        let booked = try await node.book(BookingBody(.next(), hotel: 2))
        try #require(booked.status == 201, "\(booked.text)")
        let path = try #require(booked["Location"])
        let read = try await node.get(path)
        #expect(read.status == 200)
        let unchanged = try await node.gateway.send(
            .get(path, try node.token()).with("If-None-Match", try #require(read["ETag"])))
        let list = try await node.get("/api/booking-engine/hotels")
        let unknown = try await node.get("\(path.dropLast(4))0000")
        for answer in [booked, read, unchanged, list, unknown] {
            for name in [FieldName.drawbridge, .drawbridgeHotel, .drawbridgeIdentity] {
                #expect(!answer.fields.contains(name))
            }
        }
        #expect(try await node.stop().isSuccess)

        func search(_ options: String...) async throws -> String {
            try await Files.run(
                [Node.program, "audit", "search", "--route", "getBooking"] + options,
                environment: ["DRAWBRIDGE_HOME": node.home]
            ).output
        }
        let ofHotel = try await search("--hotel", "2")
        for answer in [read, unchanged] {
            #expect(ofHotel.contains(try #require(answer["X-Request-Id"])), "\(ofHotel)")
        }
        let id = try #require(unknown["X-Request-Id"])
        #expect(!ofHotel.contains(id))
        #expect(try await search().contains(id))
        #expect(try await search("--hotel", "1") == "")
    }
}
