import JSONText
import Loop
import Stay
import Testing

/// What can be asked of the catalogue, on an installation in which nothing changes.
@Suite("Catalogue and cache calls", .serialized)
struct CatalogueTests {
    init() { Loop.runInBackground() }

    @Test(
        "What is told of a hotel comes from memory and says so",
        arguments: ["hotels/1", "room-types/1", "plans/1", "amenities/1", "hotels/1/images"])
    @OnLoop func reading(path: String) async throws {
        let node = try await Node.shared()
        let answer = try await node.ask(path)
        #expect(answer.status == 200, "\(answer.text)")
        #expect(answer.integer("hotel_id") == 1)
        #expect(answer["Cache-Status"] == "Drawbridge; hit")
        #expect(answer["Age"].flatMap { Int($0) } != nil)
        let tag = try #require(answer["ETag"])
        let token = try node.cacheToken()
        let again = try await node.gateway.send(.get("/api/booking-engine/\(path)", token).with("If-None-Match", tag))
        #expect(again.status == 304)
        #expect(again.content.isEmpty)
        expectProblem(try await node.ask(path.replacing("1", with: "77")), 404, "hotel-not-found")
        expectProblem(try await node.ask(path.replacing("1", with: "x")), 404, "not-found")
        expectProblem(try await node.ask(path.replacing("1", with: "0")), 404, "hotel-not-found")
        expectProblem(try await node.ask("\(path)?x=1"), 400, "malformed-request")
        expectProblem(try await node.ask(path, token: node.cacheToken("[2]")), 403, "foreign-hotel")
        let other = try node.cacheToken(scopes: "cache:read booking:read")
        expectProblem(try await node.ask(path, token: other), 403, "insufficient-scope")
    }

    @Test("Plans are the hotel's own and the shared ones that it offers, each as the PMS has it")
    @OnLoop func plans() async throws {
        let node = try await Node.shared()
        let keys = try await node.ask("plans/1").elements("plans").compactMap { $0["plan_key"]?.string }
        #expect(keys == ["h11", "1h12", "h13", "1h", "2h", "3h"])
        let answer = try await node.ask("plans/1")
        #expect(answer.string("plans.1.name") == "直販スタンダード Direct standard")
        #expect(answer.integer("plans.1.global_plan_id") == 1)
        #expect(answer.integer("plans.1.hotel_plan_id") == 12)
        #expect(answer.string("plans.0.plan_type") == "per_person")
        #expect(answer.string("plans.0.color") == "#B15B7D")
        #expect(answer.value("plans.0.global_plan_id") == .null)
    }

    @Test("Amenities count the sellable rooms that have them, and name the add-ons that are shown")
    @OnLoop func amenities() async throws {
        let node = try await Node.shared()
        let told = try await node.ask("amenities/1").elements("amenities")
        let smoking = told.first { $0["code"]?.string == "smoking" && $0["room_type_id"]?.integer == 12 }
        let counted = try await node.value(
            """
            SELECT count(*) FROM rooms
            WHERE hotel_id = 1 AND room_type_id = 12 AND smoking AND for_sale AND NOT is_staff_room
            """)
        #expect(smoking?["rooms"]?.integer.map { "\($0)" } == counted)
        let addOns = told.filter { $0["room_type_id"] == .null }.compactMap { $0["name"]?.string }
        #expect(Set(addOns).isSuperset(of: ["貸切風呂 Private bath", "弁当 Lunch box", "駐車場 Parking"]))
        // Which the PMS does not show.
        #expect(!addOns.contains("会議室 Meeting room"))
    }

    @Test("No table of the PMS has a trigger or a column of ours")
    @OnLoop func untouched() async throws {
        let node = try await Node.shared()
        let tables = Files.text("\(Node.package)/Sources/Installation/Demo/demo-pms.sql")
        _ = try await node.rows(
            "SET client_min_messages = error; CREATE SCHEMA fresh; SET search_path = fresh; \(tables)")
        let columns = """
            SELECT table_name, column_name, data_type, is_nullable FROM information_schema.columns
            WHERE table_name IN (SELECT tablename FROM pg_tables WHERE schemaname = 'fresh') AND table_schema =
            """
        let triggers = """
            SELECT relname, tgname FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid
            WHERE NOT tgisinternal AND tgparentid = 0
              AND relname IN (SELECT tablename FROM pg_tables WHERE schemaname = 'fresh') AND relnamespace::REGNAMESPACE::TEXT =
            """
        for query in [columns, triggers] {
            let fresh = Set(try await node.rows("\(query) 'fresh'"))
            #expect(fresh.count > 5)
            #expect(Set(try await node.rows("\(query) 'public'")) == fresh)
        }
        _ = try await node.rows("SET client_min_messages = error; DROP SCHEMA fresh CASCADE")
    }

    // MARK: Prices

    private func pricing(_ more: String = "", _ stay: TestStay) -> String {
        "hotels/1/pricing?start_date=\(stay.arrival)&end_date=\(stay.departure)\(more)"
    }

    @Test("What a plan costs is what booking it costs, and the taxes are part of it")
    @OnLoop func prices() async throws {
        let node = try await Node.shared()
        let stay = TestStay.next(3)
        let answer = try await node.ask(pricing("&guests=2&room_type_id=11", stay))
        #expect(answer.status == 200, "\(answer.text)")
        #expect(answer.string("currency") == "JPY")
        var booked = 0
        for plan in answer.elements("plans") {
            guard let total = plan["total"]?["amount"]?.integer, case .array(let nights)? = plan["nights"] else {
                // A plan that is not offered on these nights cannot be booked either.
                #expect(plan["total"] == .null)
                continue
            }
            #expect(nights.count == 3)
            #expect(nights.reduce(0) { $0 + ($1["price"]?.integer ?? -1) } == total)
            let taxes = nights.map { ($0["price"]?.integer ?? 0, $0["tax_included"]?.integer ?? -1) }
            // Ten per cent of what is left without them, but for what is rounded: the guests of a plan per person share.
            for (price, tax) in taxes { #expect(abs(price - price * 10 / 11 - tax) <= 2) }
            #expect(plan["tax_included"]?["amount"]?.integer == taxes.reduce(0) { $0 + $1.1 })
            var body = BookingBody(stay, hotel: 1, type: 11)
            body.rooms[0].guests = 2
            body.rooms[0].plan = try #require(plan["plan_key"]?.string)
            body.more = #","expected_total":{"amount":0,"currency":"JPY"}"#
            let quoted = try await node.book(body)
            expectProblem(quoted, 409, "price-changed")
            #expect(quoted.integer("quote.total.amount").map { Int64($0) } == total)
            booked += 1
        }
        #expect(booked >= 4)
    }

    @Test(
        "Prices that cannot be asked for are refused with what is wrong",
        arguments: [
            ("&plan_key=h99", 422, "/query/plan_key"), ("&plan_key=", 400, "/query/plan_key"),
            ("&room_type_id=99", 422, "/query/room_type_id"), ("&room_type_id=11&guests=3", 422, "/query/guests"),
            ("&guests=0", 400, "/query/guests"), ("&guests=two", 400, "/query/guests"),
            ("&start_date=2027-01-01", 400, "/query/start_date"), ("&rooms=1", 400, "/query/rooms"),
        ])
    @OnLoop func refusedPrices(more: String, status: Int, pointer: String) async throws {
        let node = try await Node.shared()
        let stay = TestStay(arrival: TestStay.today.advanced(by: 3), nights: 1)
        let answer = try await node.ask(pricing(more, stay))
        expectProblem(answer, status)
        #expect(answer.string("errors.0.pointer") == pointer, "\(answer.text)")
    }

    @Test("Stays that cannot be booked have no prices")
    @OnLoop func refusedStays() async throws {
        let node = try await Node.shared()
        let today = TestStay.today
        for (stay, status) in [
            (TestStay(arrival: today.advanced(by: -1), nights: 1), 422),
            (TestStay(arrival: today.advanced(by: 501), nights: 1), 422),
            (TestStay(arrival: today, nights: 31), 422), (TestStay(arrival: today, nights: 0), 400),
        ] { expectProblem(try await node.ask(pricing("", stay)), status) }
        expectProblem(try await node.ask("hotels/1/pricing?start_date=2027-01-01"), 400)
        #expect(try await node.ask(pricing("", TestStay(arrival: today, nights: 30))).status == 200)
    }

    // MARK: Triggers

    @Test("A trigger that finds nothing new says so, and is recorded", arguments: ["hotels", "room-types"])
    @OnLoop func nothingNew(what: String) async throws {
        let node = try await Node.shared()
        for json in [#"{}"#, #"{"hotel_ids":null}"#, #"{"hotel_ids":[1,"2",3]}"#] {
            let answer = try await node.trigger("update-\(what)", json)
            #expect(answer.status == 200, "\(answer.text)")
            #expect(answer.string("status") == "completed")
            #expect(answer.string("cache_type") == what.replacing("-", with: "_"))
            #expect(answer.integer("updated") == 0 && answer.integer("removed") == 0 && answer.integer("failed") == 0)
            #expect(answer.integer("unchanged") ?? 0 >= 3)
            let record = try await node.ask("cache/triggers/\(answer.integer("trigger_id") ?? 0)")
            #expect(record.string("status") == "completed", "\(record.text)")
            #expect(record.string("type") == "pms_triggered")
            #expect(record.string("by") == "pms")
            #expect(record.integer("unchanged") == answer.integer("unchanged"))
        }
        // As the integration guide has it: without content.
        var request = TestRequest.post("/api/booking-engine/cache/update-\(what)", try node.cacheToken(), json: "")
        request.content = []
        #expect(try await node.gateway.send(request).status == 200)
        let admin = try await node.trigger(
            "update-\(what)", token: node.cacheToken(scopes: "cache:write cache:read admin"))
        let record = try await node.ask("cache/triggers/\(admin.integer("trigger_id") ?? 0)")
        #expect(record.string("by") == "admin")
        #expect(record.string("type") == "manual")
    }

    @Test(
        "Triggers that are wrong are refused and not recorded",
        arguments: [
            ("update-hotels", #"{"hotel_ids":[]}"#, 422), ("update-hotels", #"{"hotel_ids":[0]}"#, 422),
            ("update-hotels", #"{"hotel_ids":["x"]}"#, 422), ("update-hotels", #"{"hotel_ids":1}"#, 422),
            ("update-hotels", #"{"hotels":[1]}"#, 422), ("update-hotels", #"[]"#, 422), ("update-hotels", #"{"#, 400),
            ("update-room-types", #"{"hotel_ids":[1,77]}"#, 422), ("refresh-availability", #"{}"#, 422),
            ("refresh-availability", #"{"hotel_id":77}"#, 422), ("refresh-availability", #"{"hotel_id":1.5}"#, 422),
            ("refresh-availability", #"{"hotel_id":1,"room_type_id":21}"#, 422),
            ("refresh-availability", #"{"hotel_id":1,"start_date":"2027-02-30"}"#, 422),
            ("refresh-availability", #"{"hotel_id":1,"start_date":"2027-01-02","end_date":"2027-01-02"}"#, 422),
            ("refresh-availability", #"{"hotel_id":1,"end_date":"2020-01-02"}"#, 422),
            ("refresh-availability", #"{"hotel_id":1,"rooms":[]}"#, 422),
        ])
    @OnLoop func refusedTriggers(what: String, json: String, status: Int) async throws {
        let node = try await Node.shared()
        let count = "SELECT count(*) FROM booking_engine_cache_triggers"
        let before = try await node.value(count)
        let answer = try await node.trigger(what, json)
        expectProblem(answer, status)
        #expect(!answer.elements("errors").isEmpty, "\(answer.text)")
        #expect(try await node.value(count) == before)
    }

    @Test("A hotel that neither the PMS nor the bridge has is refused, whatever else is asked for")
    @OnLoop func unknownHotel() async throws {
        let node = try await Node.shared()
        let answer = try await node.trigger("update-hotels", #"{"hotel_ids":[1,77]}"#)
        expectProblem(answer, 422, "invalid-request")
        #expect(answer.string("errors.0.pointer") == "/hotel_ids/1")
    }

    @Test("What is too large, of another type or by another method is refused")
    @OnLoop func tooLarge() async throws {
        let node = try await Node.shared()
        let ids = (0..<20_000).map { _ in "1234567890" }.joined(separator: ",")
        expectProblem(try await node.trigger("update-hotels", #"{"hotel_ids":[\#(ids)]}"#), 413)
        let many = (0..<1001).map { _ in "1" }.joined(separator: ",")
        expectProblem(try await node.trigger("update-hotels", #"{"hotel_ids":[\#(many)]}"#), 422)
        expectProblem(try await node.ask("cache/update-hotels"), 405)
        var request = TestRequest.post("/api/booking-engine/cache/update-hotels", try node.cacheToken(), json: "{}")
        request.fields = [("Content-Type", "text/plain")]
        expectProblem(try await node.gateway.send(request), 415)
        let images = (0..<65).map { #"{"url":"https://img.example/\#($0)"}"# }.joined(separator: ",")
        expectProblem(try await node.put("hotels/3/images", #"{"images":[\#(images)]}"#), 422)
    }

    @Test("A client of some hotels triggers and sees those alone")
    @OnLoop func hotelBound() async throws {
        let node = try await Node.shared()
        let bound = try node.cacheToken("[1]", client: "bound")
        for what in ["update-hotels", "update-room-types"] {
            expectProblem(
                try await node.trigger(what, #"{"hotel_ids":[1,2]}"#, token: bound), 403, "foreign-hotel")
            let own = try await node.trigger(what, token: bound)
            #expect(own.status == 200, "\(own.text)")
            let record = try await node.ask("cache/triggers/\(own.integer("trigger_id") ?? 0)", token: bound)
            #expect(record.elements("hotel_ids") == [.integer(1)])
        }
        expectProblem(
            try await node.trigger("refresh-availability", #"{"hotel_id":2}"#, token: bound), 403, "foreign-hotel")
        expectProblem(try await node.ask("cache/status?hotel_id=2", token: bound), 403, "foreign-hotel")
        #expect(try await node.ask("cache/status", token: bound).integer("hotels.entries") == 1)
        #expect(try await node.ask("cache/status?hotel_id=1", token: bound).integer("room_types.entries") == 4)
        let all = try await node.trigger("update-hotels")
        let id = all.integer("trigger_id") ?? 0
        expectProblem(try await node.ask("cache/triggers/\(id)", token: bound), 404, "trigger-not-found")
        #expect(try await node.ask("cache/triggers/\(id)").value("hotel_ids") == .null)
        expectProblem(try await node.put("hotels/2/images", #"{"images":[]}"#, token: bound), 403, "foreign-hotel")
    }

    @Test("Reading the cache's state needs its scope, and triggers need theirs")
    @OnLoop func scopes() async throws {
        let node = try await Node.shared()
        let reader = try node.cacheToken(scopes: "cache:read")
        #expect(try await node.ask("cache/status", token: reader).status == 200)
        for what in ["update-hotels", "update-room-types", "refresh-availability"] {
            expectProblem(
                try await node.trigger(what, #"{"hotel_id":1}"#, token: reader), 403, "insufficient-scope")
        }
        expectProblem(
            try await node.put("hotels/1/images", #"{"images":[]}"#, token: reader), 403, "insufficient-scope")
        let writer = try node.cacheToken(scopes: "cache:write")
        expectProblem(try await node.ask("cache/status", token: writer), 403, "insufficient-scope")
        expectProblem(try await node.ask("cache/triggers/1", token: writer), 403, "insufficient-scope")
    }

    @Test("The state tells what is kept, how long it counts, and how often it was there")
    @OnLoop func status() async throws {
        let node = try await Node.shared()
        _ = try await node.ask("hotels/1")
        let answer = try await node.ask("cache/status")
        #expect(answer.status == 200)
        for (kind, minutes) in [("hotels", 1440), ("room_types", 1440), ("availability", 15)] {
            #expect(answer.integer("\(kind).cache_ttl_minutes") == minutes)
            #expect(answer.value("\(kind).is_active") == .bool(true))
            #expect(answer.integer("\(kind).stale") == 0)
            #expect(answer.string("\(kind).last_updated") != nil)
        }
        #expect(answer.integer("hotels.entries") == 3)
        #expect(answer.value("hotels.hit_ratio") == .number("1.0"))
        expectProblem(try await node.ask("cache/status?hotel_id=77"), 404, "hotel-not-found")
        expectProblem(try await node.ask("cache/status?hotel_id=x"), 400)
        expectProblem(try await node.ask("cache/status?more=1"), 400)
        expectProblem(try await node.ask("cache/triggers/999999999"), 404, "trigger-not-found")
        expectProblem(try await node.ask("cache/triggers/x"), 404, "not-found")
    }

    // MARK: Pictures

    @Test("Pictures are those set last, in their order, and setting them again by the same key sets nothing")
    @OnLoop func images() async throws {
        let node = try await Node.shared()
        let json =
            #"{"images":[{"url":"https://img.example/a.jpg","caption":"海 <b>","room_type_id":"31","width":800,"height":600},{"url":"https://img.example/b.jpg"}]}"#
        var request = TestRequest.post("/api/booking-engine/hotels/3/images", try node.cacheToken(), json: json)
            .with("Idempotency-Key", "images-\(UInt64.random(in: 0 ... .max))")
        request.method = "PUT"
        let set = try await node.gateway.send(request)
        #expect(set.status == 200, "\(set.text)")
        let read = try await node.ask("hotels/3/images")
        #expect(read.content == set.content)
        #expect(read.string("images.0.caption") == "海 <b>")
        #expect(read.integer("images.0.room_type_id") == 31)
        #expect(read.integer("images.1.position") == 1)
        #expect(read.value("images.1.caption") == .null)

        #expect(try await node.put("hotels/3/images", #"{"images":[]}"#).status == 200)
        #expect(try await node.ask("hotels/3/images").elements("images").isEmpty)
        // The answer again, and nothing done.
        #expect(try await node.gateway.send(request).content == set.content)
        #expect(try await node.ask("hotels/3/images").elements("images").isEmpty)
        request.content = Array(#"{"images":[]}"#.utf8)
        expectProblem(try await node.gateway.send(request), 422, "idempotency-key-reused")
        for wrong in [
            #"{"images":[{"url":"http://img.example/"}]}"#, #"{"images":[{"url":"https://user@img.example/"}]}"#,
            #"{"images":[{"url":"https://img.example/","room_type_id":11}]}"#, #"{}"#, #"{"images":[{}]}"#,
            #"{"images":[{"url":"https://img.example/","width":0}]}"#,
        ] { expectProblem(try await node.put("hotels/3/images", wrong), 422, "invalid-request") }
        #expect(try await node.ask("hotels/3/images").elements("images").isEmpty)
    }
}
