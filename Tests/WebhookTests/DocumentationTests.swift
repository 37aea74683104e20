import Cryptography
import Foundation
import TestSupport
import Testing

@testable import Webhook

/// The examples of `Documentation/Webhooks.md`, as they stand there.
@Suite struct DocumentationTests {
    private struct Received: Codable {
        var secret: String
        var headers: [String: String]
        var body: String
    }

    private static let page =
        (try? String(contentsOfFile: "\(PythonTools.package)/Documentation/Webhooks.md", encoding: .utf8)) ?? ""

    private static let node = ["/usr/bin/node", "/usr/local/bin/node"].first {
        FileManager.default.isExecutableFile(atPath: $0)
    }

    private static let receivers = "\(PythonTools.package)/Tests/WebhookTests/Interop"

    @Test(
        "The examples in Python accept what we send and nothing else",
        .enabled(if: PythonTools.areThere, "Scripts/python-tools"),
        arguments: ["Python, without a library", "Python, with standardwebhooks", "Python, with cryptography"])
    func python(title: String) throws {
        let usesKey = title.hasSuffix("cryptography")
        try check(title, "py", usesKey: usesKey) { example, received in
            try PythonTools.run("\(Self.receivers)/receive.py", arguments: [example], received)
        }
    }

    @Test("The example in JavaScript accepts what we send and nothing else", .enabled(if: node != nil, "node"))
    func javaScript() throws {
        try check("JavaScript, without a library", "mjs", usesKey: false) { example, received in
            try Script.run([try #require(Self.node), "\(Self.receivers)/receive.mjs", example], received)
        }
    }

    @Test("The page says what the defaults are") func defaults() {
        let policy = DeliveryPolicy()
        let page = Self.page.replacing("\n", with: " ")
        let delays = (1...9).map { Self.text(policy.schedule.exponentialDelays[$0 - 1]) }.joined(separator: ", ")
        #expect(page.contains("| \(delays), and 24 h from there on |"))
        #expect(page.contains("| \(policy.retries.maximumRetries) retries, `\(policy.retries.backoff)` |"))
        #expect(page.contains("at most \(policy.gate.inFlight) deliveries at once"))
        #expect(page.contains("at most \(policy.gate.perSecond) per second"))
        #expect(page.contains("\(policy.schedule.jitterPercentage) % longer or shorter"))
        #expect(page.contains("0 to \(WebhookRetryPolicy.retryCounts.upperBound). When they are used up"))
        #expect(
            policy.disablingTime == .seconds(5 * 86_400)
                && page.contains("nothing but failure has come for five days"))
        #expect(policy.gate.failuresToOpen == 5 && page.contains("After five failures in a row"))
    }

    /// - Parameter run: runs an example, a file, on webhooks, and answers which of them it accepts.
    private func check(
        _ title: String, _ suffix: String, usesKey: Bool, _ run: (String, [Received]) throws -> [Bool]
    ) throws {
        let file = FileManager.default.temporaryDirectory.appending(path: "\(UUID().uuidString).\(suffix)")
        try #require(example(title)).write(to: file, atomically: true, encoding: .utf8)
        defer { try? FileManager.default.removeItem(at: file) }
        let received = Self.webhooks(usesKey: usesKey)
        let accepted = try run(file.path, received.map(\.webhook))
        #expect(accepted == received.map(\.isGood))
    }

    /// What stands in the first block of code under a title.
    private func example(_ title: String) -> String? {
        let parts = Self.page.components(separatedBy: "\n### \(title)\n")
        guard parts.count == 2 else { return nil }
        let lines = parts[1].components(separatedBy: "\n").drop { !$0.hasPrefix("```") }.dropFirst()
        return lines.prefix { $0 != "```" }.joined(separator: "\n") + "\n"
    }

    private static func webhooks(usesKey: Bool) -> [(webhook: Received, isGood: Bool)] {
        let (secrets, keys) = ([WebhookSecret(), WebhookSecret()], [WebhookSigningKey(), WebhookSigningKey()])
        let body = Array(#"{"type":"booking.created","data":{"hotel_id":1,"name":"部屋"}}"#.utf8)
        func received(_ signer: Int, _ body: [UInt8] = body, secondsAgo: Int64 = 0) -> Received {
            Received(
                secret: usesKey ? keys[signer].publicText : secrets[signer].text,
                headers: WebhookSignature.now(body, secrets, keys, secondsAgo: secondsAgo).headers,
                body: Base64.standard.encode(body))
        }
        func changed(_ change: (inout Received) -> Void) -> Received {
            var webhook = received(0)
            change(&webhook)
            return webhook
        }
        let good = [
            received(0), received(1),
            received(0, Array(#"{"x":""#.utf8) + Array(repeating: 0x78, count: 99_999) + Array(#""}"#.utf8)),
        ]
        let bad = [
            received(0, secondsAgo: 400), received(0, secondsAgo: -400),
            changed { $0.secret = usesKey ? WebhookSigningKey().publicText : WebhookSecret().text },
            changed { $0.body = Base64.standard.encode(body + [0x20]) },
            changed { $0.headers["webhook-id"] = "another" },
            changed { $0.headers["webhook-timestamp"] = "soon" },
            changed { $0.headers["webhook-timestamp"] = "" },
            changed { $0.headers["webhook-signature"] = "v1,AAAA v1a,AAAA v2,x" },
            changed { $0.headers["webhook-signature"] = "" },
            changed { $0.headers["webhook-signature"] = nil },
            changed { $0.headers["webhook-id"] = nil },
        ]
        return good.map { ($0, true) } + bad.map { ($0, false) }
    }

    private static func text(_ delay: Duration) -> String {
        let seconds = delay.components.seconds
        return seconds >= 3600 ? "\(seconds / 3600) h" : seconds >= 60 ? "\(seconds / 60) min" : "\(seconds) s"
    }
}
