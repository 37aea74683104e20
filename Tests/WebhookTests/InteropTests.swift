import Cryptography
import Foundation
import TestSupport
import Testing

@testable import Webhook

/// Against the Python packages `standardwebhooks` and `cryptography`, in the environment that `Scripts/python-tools` makes.
@Suite("What we sign is verified by other implementations", .enabled(if: PythonTools.areThere, "Scripts/python-tools"))
struct InteropTests {
    private struct Received: Codable {
        var headers: [String: String]
        var body: String
        var secrets: [String]
        var keys: [String]

        init(_ signature: WebhookSignature, _ body: [UInt8], _ secrets: [WebhookSecret], _ keys: [WebhookSigningKey]) {
            headers = signature.headers
            self.body = Base64.standard.encode(body)
            self.secrets = secrets.map(\.text)
            self.keys = keys.map(\.publicText)
        }
    }

    private struct Verdict: Codable, Equatable {
        var secrets: [Bool]
        var keys: [Bool]
    }

    private static let bodies = [
        #"{"type":"booking.created","data":{"hotel_id":1}}"#, "", "部屋 é \u{0} \\u00e9",
        String(repeating: "x", count: 400_000),
    ].map { Array($0.utf8) }

    private func verdicts(_ received: [Received]) throws -> [Verdict] {
        try PythonTools.run("\(PythonTools.package)/Tests/WebhookTests/Interop/signatures.py", received)
    }

    @Test("Every secret and key of an overlap is enough by itself, whatever the body") func accepted() throws {
        let (secrets, keys) = ((0..<3).map { _ in WebhookSecret() }, (0..<2).map { _ in WebhookSigningKey() })
        let received = Self.bodies.map { body in
            Received(.now(body, secrets, keys), body, secrets, keys)
        }
        let all = Verdict(secrets: [true, true, true], keys: [true, true])
        #expect(try verdicts(received) == Self.bodies.map { _ in all })
    }

    @Test("Another secret, key, id, time or body is refused, as is what was signed an hour ago") func refused() throws {
        let (secrets, keys, body) = ([WebhookSecret()], [WebhookSigningKey()], Self.bodies[0])
        let good = Received(.now(body, secrets, keys), body, secrets, keys)
        var received = [good, good, good, good]
        received[0].headers["webhook-id"] = "evt_2"
        received[1].headers["webhook-timestamp"] = String(Int(good.headers["webhook-timestamp"]!)! + 1)
        received[2].body = Base64.standard.encode(body + [0x20])
        (received[3].secrets, received[3].keys) = ([WebhookSecret().text], [WebhookSigningKey().publicText])
        received.append(Received(.now(body, secrets, [], secondsAgo: 3600), body, secrets, []))
        let none = Verdict(secrets: [false], keys: [false])
        #expect(try verdicts(received) == [none, none, none, none, Verdict(secrets: [false], keys: [])])
    }
}

extension WebhookSignature {
    /// As an attempt that is made now, or was made some time ago.
    static func now(
        _ body: [UInt8], _ secrets: [WebhookSecret], _ keys: [WebhookSigningKey], secondsAgo: Int64 = 0
    ) -> WebhookSignature {
        WebhookSignature(
            id: "0b4f6c1e-0000-4000-8000-00000000000a", timestamp: Int64(Date().timeIntervalSince1970) - secondsAgo,
            body: body.span, secrets: secrets, keys: keys)
    }

    /// The fields by their names.
    var headers: [String: String] {
        [Self.idField: id, Self.timestampField: timestamp, Self.signatureField: signature]
    }
}
