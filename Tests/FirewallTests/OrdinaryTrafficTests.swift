import HTTP
import Testing

@testable import Firewall

/// What no engine may refuse.
@Suite struct OrdinaryTrafficTests {
    @Test("Ordinary booking traffic is let through", arguments: EngineKind.allCases, ordinary)
    func isLetThrough(kind: EngineKind, request: TestRequest) throws {
        let finding = try kind.inspect(request.request)
        #expect(finding.refusal == nil && finding.isComplete, "\(finding)")
        #expect(finding.inboundScore == 0, "\(finding)")
    }

    private static func booking(name: String = "Mary Ann Smith", comment: String = "") -> TestRequest {
        .json(
            #"""
            {"hotel_id":1,"check_in":"2026-12-01","check_out":"2026-12-03","guest":{"name":"\#(name)",
            "email":"mary.smith+hotel@mail.example","phone":"+81 (0)3-1234-5678","address":"1-2-3 Nishi-Shinjuku #405"},
            "rooms":[{"room_type_id":3,"adults":2,"children":[4,7],"plan":"42:room_type"}],"comment":"\#(comment)"}
            """#)
    }

    private static func webhook(_ address: String) -> TestRequest {
        .json(
            #"""
            {"url":"\#(address)","events":["booking.created","booking.updated","booking.cancelled","sync.failed"],
            "hotel_ids":[1,"2"],"secret":"whsec_Zn0/+wJ2hJm9m1yk/4tqzO0vXvjGTZ0z3Qq+8sX1kJs=","description":"O'Brien's shop: a test",
            "retryPolicy":{"maxRetries":9,"backoff":"exponential"},"payload":"full","in_order":true,"asymmetric":false,
            "max_in_flight":20,"max_per_second":100}
            """#, .post, "/api/webhooks/subscribe")
    }

    /// Addresses of the kinds that subscribers have.
    private static let addresses = [
        "https://hooks.engine.example/drawbridge?tenant=7&door=a1b2c3",
        "https://hooks.engine.example:8443/api/v1/webhooks",
        "http://127.0.0.1:9000/hook", "http://localhost:54321/functions/v1/hooks", "https://192.0.2.10/hook",
        "https://[2001:db8::1]/hook", "http://[::1]:8080/x",
        "https://abcdefghijklmnop.functions.example/v1/drawbridge-webhook?apikey=eyJhbGciOiJIUzI1NiJ9.eyJyZWYiOiJ4In0.c2ln",
        "https://engine.example/index.php?option=com_hooks&task=receive", "https://engine.example/hooks.aspx?id=7",
        "https://engine.example/wp-json/drawbridge/v1/event", "https://engine.example/%E3%81%82?x=%20y",
    ]

    private static let hotels = (1...200).map { String($0) }.joined(separator: ",")

    private static func query(_ text: String) -> TestRequest { .get("/api/booking-engine/availability?\(text)") }

    static let ordinary: [TestRequest] =
        names.map { booking(name: $0).called("name: \($0)") }
        + comments.map { booking(comment: $0).called("comment: \($0.prefix(60))") }
        + addresses.map { webhook($0).called("webhook: \($0)") }
        + [
            query("hotel_id=1&check_in=2026-12-01&check_out=2026-12-03&guests=2"),
            query("hotel_id=1&city=San%20Jos%C3%A9&name=O%27Brien"),
            query("hotel_id=1&name=%E5%B1%B1%E7%94%B0%E5%A4%AA%E9%83%8E"),
            query("hotel_id=1&updated_since=2026-11-21T09%3A06%3A51.123%2B09%3A00"),
            query("email=mary.smith%2Bhotel%40mail.example&return=https%3A%2F%2Fbooking.hotel.example%2Fdone"),
            .get("/api/booking-engine/hotels/12/rooms"),
            .get("/api/booking-engine/bookings/3f0d6b7e-6c1b-4e0f-9f3e-6a2f1f1f4c55", ("If-None-Match", "\"a1b2c3\"")),
            .get(
                "/api/booking-engine/hotels", ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
            ),
            .get("/api/booking-engine/hotels", ("Cookie", "_ga=GA1.2.1234.5678; session=9f8e7d6c5b4a; lang=ja")),
            .get(
                "/api/booking-engine/hotels", ("Accept-Language", "ja,en-US;q=0.9,en;q=0.8"),
                ("Via", "1.1 proxy.example")),
            .get("/api/booking-engine/hotels", ("Authorization", "Basic bWFyeTpzZWNyZXQvKys=")),
            .get("/api/booking-engine/hotels", ("X-API-Key", "db_live_5Jk2mN8pQr7sT1uV3wX9yZ")),
            .get("/api/booking-engine/hotels", ("Host", "192.0.2.10:8443")).called("Host is an address"),
            .get(
                "/api/booking-engine/hotels",
                ("Content-Digest", "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:"),
                (
                    "Signature-Input",
                    #"sig1=("@method" "@authority" "@path" "content-digest");created=1618884473;keyid="key-1";nonce="b3k2pp5k7z-50gnwp.yemd""#
                ),
                (
                    "Signature",
                    "sig1=:LjbtqUbfmvjj5C5kr1Ugj4PmLYvx9wVjZvSsB9T493F7T3FbOrhMeT9bjrdfCDRG9uGjjAAvHgPHLhBhY4S/zw==:"
                )),
            .get(
                "/api/booking-engine/hotels/1/pricing?start_date=2026-12-01&end_date=2026-12-03&plan_key=1h5&guests=2"),
            .json(#"{"hotel_ids":["1",2]}"#, .post, "/api/booking-engine/cache/update-hotels"),
            .json(
                #"{"hotel_id":"1","room_type_id":11,"start_date":"2026-12-01","end_date":"2026-12-20"}"#, .post,
                "/api/booking-engine/cache/refresh-availability"),
            .json(
                #"{"images":[{"url":"https://img.example/hotel/1/sea.jpg","caption":"海の見える部屋","width":1600}]}"#, .put,
                "/api/booking-engine/hotels/1/images"),
            .json(
                #"{"restrictions":[{"room_type_id":"11","start_date":"2027-08-01","end_date":"2027-08-16","#
                    + #""weekdays":["friday","saturday"],"minimum_nights":2,"maximum_nights":null,"#
                    + #""closed_to_arrival":false,"stop_sell":true}],"overbooking":[{"room_type_id":12,"rooms":1}]}"#,
                .put, "/api/booking-engine/hotels/1/restrictions"),
            .get(
                "/api/booking-engine/availability/1?start_date=2026-12-01&end_date=2026-12-03&guests=2&rooms=1&explain=true"
            ),
            .json(#"{"hotel_id":1,"reason":"price_change"}"#, .put, "/api/booking-engine/cache"),
            .json(#"{"status":"cancelled","reason":"flight cancelled"}"#, .patch, "/api/booking-engine/bookings/1"),
            TestRequest(method: .delete, target: "/api/booking-engine/bookings/1"),
            TestRequest(method: .options, target: "/api/booking-engine/bookings"),
            .get("/api/webhooks/event-types"), .get("/api/webhooks?limit=50&before=12"),
            .get("/api/webhooks/3f0d6b7e-6c1b-4e0f-9f3e-6a2f1f1f4c55"),
            TestRequest(method: .delete, target: "/api/webhooks/3f0d6b7e-6c1b-4e0f-9f3e-6a2f1f1f4c55"),
            TestRequest(
                method: .post, target: "/api/webhooks/3f0d6b7e-6c1b-4e0f-9f3e-6a2f1f1f4c55/enable",
                fields: [("Content-Length", "0")]),
            .json(
                #"{"secret":"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw","overlap_hours":24}"#, .post,
                "/api/webhooks/3f0d6b7e-6c1b-4e0f-9f3e-6a2f1f1f4c55/rotate-secret"),
            .json(
                #"{"enabled":false,"hotel_ids":null,"description":null,"payload":"thin"}"#, .patch,
                "/api/webhooks/3f0d6b7e-6c1b-4e0f-9f3e-6a2f1f1f4c55"),
            .json(
                #"{"url":"https://hooks.example/b","events":["sync.failed"],"hotel_ids":[\#(hotels)]}"#, .post,
                "/api/webhooks/subscribe"
            ).called("a webhook for 200 hotels"),
            .get("/.well-known/jwks.json"), .get("/api/booking-engine/auth/user/2"),
            .get("/api/booking-engine/auth/keys?client=web-shop.1&limit=50&before=12"),
            TestRequest(method: .delete, target: "/api/booking-engine/auth/keys/12"),
            .get("/api/booking-engine/dead-letters?hotel_id=1&status=dead&operation=expire_hold&limit=50&before=12"),
            .json(
                #"{"reason":"Cancelled by hand at the front desk (ticket #4711); the guest's room was given away."}"#,
                .post,
                "/api/booking-engine/dead-letters/12/abandon"),
            .json(#"{"grant_type":"client_credentials","scope":"availability:read booking:write"}"#)
                .called("asking for a token"),
            .json(#"{"refresh_token":"dbr_xUjw6HJlymtLZJOr_z3ecQkE4lKmubP1rnvwtd80hcgUz-ZsPwsN09n6eRxg71hmF5-RFA"}"#)
                .called("refreshing a token"),
            .json(
                #"{"token":"eyJhbGciOiJFUzI1NiIsImtpZCI6IjB6ayIsInR5cCI6ImF0K2p3dCJ9.eyJhdWQiOiJkcmF3YnJpZGdlIn0.M4SPrvLe-_w"}"#
            ).called("asking about a token"),
            .json(
                #"{"client":"web-shop.1","scopes":["availability:read","booking:write"],"hotel_id":3,"description":"the shop's own"}"#
            ).called("making an API key"),
            .json("[]"), .json("{}"), .json(#"{"a":null,"b":true,"c":-1.5e3,"d":""}"#),
            .form("name=Mary+O%27Brien&comment=Late+arrival%2C+after+22%3A00"),
            TestRequest(
                method: .post, target: "/api/x", content: Array("{}".utf8),
                contentType: "application/json; charset=UTF-8"),
        ]

    private static let names = [
        "Conan O'Brien", "O'Neill & Sons", "D'Angelo-O'Connor", "Jean-Luc d'Arc", "山田 太郎", "ヤマダ タロウ",
        "Müller-Lüdenscheid",
        "Nguyễn Thị Minh Khai", "José Ñuñez", "Søren Ægir", "Владимир Иванов", "محمد علي", "Anne \\\"Annie\\\" Smith",
        "Smith, John (Mr.)", "Dr. Select Union", "Robert Null", "Drop Table", "Li", "J. R. R. Tolkien; Esq.",
    ]

    private static let comments = [
        "We'd like a quiet room, please; we're arriving late (after 22:00).",
        "It's our 10th anniversary - could you put flowers & a card in the room? Thanks!!! :-)",
        "お世話になります。チェックインは22時頃になります。禁煙ルームを希望します（できれば高層階）。「海側」だと嬉しいです。",
        "Allergies: nuts, shellfish, eggs. Bed: 1 x double or 2 x single. Floor >= 5. Budget < 20,000 JPY/night.",
        "Please select a room from the upper floors and update my booking; I'd drop by at 3 pm or call you.",
        "I want to order breakfast for 2 and like to have it in the room; what's the price?",
        "Car: Toyota, plate 'SHINJUKU 500 A 12-34'. Parking needed from 12/1 to 12/3; 50% discount applies?",
        "Invoice to: ACME Inc. / Attn. Accounting; VAT-ID DE123456789; PO #4711; cost centre 12-34/56.",
        "Line one\\nLine two: \\\"quoted\\\"\\n\\tindented\\nhttps://www.airline.example/flight/JL123?date=2026-12-01",
        "My wife's name is Siân; she's vegetarian. My son's 4 (four) & my daughter's 7. We're from Côte d'Ivoire.",
        "子供2名（4歳と7歳）・アレルギー：卵、乳、小麦。領収書の宛名は「株式会社オブライエン＆サンズ」でお願いします。",
        String(repeating: "We look forward to our stay, and we'd like a room with a view. ", count: 60),
        String(repeating: "よろしくお願いいたします。静かな部屋を希望します。", count: 60),
    ]
}
