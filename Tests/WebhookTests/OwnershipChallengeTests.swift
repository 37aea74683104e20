import JSONText
import Testing
import Webhook

struct OwnershipChallengeTests {
    @Test("It is met by its text alone, or by an object with it, and by nothing else")
    func answers() throws {
        let challenge = OwnershipChallenge()
        let text = challenge.text
        let answers = [
            text, " \(text)\r\n", #"{"challenge":"\#(text)"}"#, #"{ "ok": true, "challenge": "\#(text)" }"#,
        ]
        for answer in answers {
            #expect(challenge.isMet(by: Array(answer.utf8)), "\(answer)")
        }
        let others = [
            "", " ", "ok", String(text.dropLast()), text + "A", text + text, "\"\(text)\"", #"["\#(text)"]"#,
            #"{"challenge":"\#(text) "}"#, #"{"challenge":null}"#, #"{"data":{"challenge":"\#(text)"}}"#,
            OwnershipChallenge().text,
        ]
        for answer in others { #expect(!challenge.isMet(by: Array(answer.utf8)), "\(answer)") }
    }

    @Test("No two are the same, and what is sent says which endpoint is asked")
    func content() throws {
        let endpoint = try #require(EndpointID("3f0d6b7e-6c1b-4e0f-9f3e-6a2f1f1f4c55"))
        let challenges = (0..<100).map { _ in OwnershipChallenge() }
        #expect(Set(challenges.map(\.text)).count == 100)
        let sent = try JSONValue(
            parsing: challenges[0].content(for: endpoint, timestamp: "2026-12-01T10:25:00Z"))
        #expect(sent["type"]?.string == "endpoint.challenge" && sent["timestamp"]?.string == "2026-12-01T10:25:00Z")
        #expect(sent["data"]?["endpoint_id"]?.string == endpoint.description)
        #expect(sent["data"]?["challenge"]?.string == challenges[0].text)
    }
}
