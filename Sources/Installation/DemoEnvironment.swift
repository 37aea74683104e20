internal import Glibc
public import Loop

/// What `demo.env` says about a running installation, and the first commands to try with it.
public struct DemoEnvironment: Sendable {
    /// The source of webhooks in `inbound.yaml` that is the demo's.
    static let webhookSource = "demo-pms"

    /// The variables.
    public let file: EnvironmentFile

    /// - Parameters:
    ///   - databaseURL: the private database's; `nil` for any other.
    ///   - isDemo: whether its hotels and API keys are those of the demo.
    ///   - isSelfSigned: whether clients must be told to believe the certificate.
    @OnLoop
    public init(
        home: Home, sockets: GatewaySockets, secrets: Secrets, databaseURL: String?, isDemo: Bool, isSelfSigned: Bool
    ) {
        var file = EnvironmentFile()
        file.set("GATEWAY_URL", "\(sockets.isSecure ? "https" : "http")://localhost:\(sockets.port)")
        file.set("GATEWAY_CA", isDemo || isSelfSigned ? home.certificateFile : nil)
        file.set("ADMIN_URL", "http://127.0.0.1:\(sockets.adminPort)")
        if isDemo {
            file.set("HOTEL_ID", "1")
            file.set("BOOKING_ENGINE_TOKEN", DemoToken.make(secrets.issuerKey, unixTime: Int(Loop.unixTime)))
            for key in DemoAPIKey.allCases { file.set(key.variable, secrets.apiKeys[key]) }
            file.set("PMS_WEBHOOK_SECRET", secrets.webhookSecret)
        } else {
            file.comment = ["No token and no key: the database holds real hotels."]
        }
        file.set("DATABASE_URL", databaseURL)
        self.file = file
    }

    /// Commands to copy: see what is free, book it, read the booking back.
    ///
    /// - Parameter unixTime: now; the stay is two weeks later.
    public static func commands(home: Home, unixTime: Double) -> String {
        let arrival = day(unixTime + 14 * 86_400)
        let departure = day(unixTime + 16 * 86_400)
        return #"""
            Try it, in another terminal:

              source \#(EnvironmentFile.quote(home.environmentFile))

              # which rooms are free
              curl -sS --cacert "$GATEWAY_CA" -H "Authorization: Bearer $BOOKING_ENGINE_TOKEN" \
                "$GATEWAY_URL/api/booking-engine/availability/$HOTEL_ID?start_date=\#(arrival)&end_date=\#(departure)"

              # book one
              BOOKING=$(curl -sS --cacert "$GATEWAY_CA" -H "Authorization: Bearer $BOOKING_ENGINE_TOKEN" \
                -H "Content-Type: application/json" -H "Idempotency-Key: $(cat /proc/sys/kernel/random/uuid)" \
                -o /dev/stderr -w '%header{location}' "$GATEWAY_URL/api/booking-engine/bookings" \
                -d '{"booking_engine_id":"demo-'$(date +%s)'","hotel_id":'$HOTEL_ID',"check_in":"\#(arrival)",
                     "check_out":"\#(departure)","rooms":[{"room_type_id":'$HOTEL_ID'1,"guests":2,"plan_key":"1h"}],
                     "guest":{"name":"Demo Guest","email":"guest@example.com","phone":"050-0000-0000"}}')

              # read the booking back
              curl -sS --cacert "$GATEWAY_CA" -H "Authorization: Bearer $BOOKING_ENGINE_TOKEN" "$GATEWAY_URL$BOOKING"

            """#
    }

    /// The date in UTC, which a hotel's own date differs from by a day at most.
    static func day(_ unixTime: Double) -> String {
        var seconds = time_t(unixTime)
        var parts = tm()
        gmtime_r(&seconds, &parts)
        func two(_ value: Int32) -> String { value < 10 ? "0\(value)" : "\(value)" }
        return "\(parts.tm_year + 1900)-\(two(parts.tm_mon + 1))-\(two(parts.tm_mday))"
    }
}
