import Cryptography
import Foundation
import TestSupport
import Testing

@testable import Authentication

/// Against the Python package `http-message-signatures`, in the environment that `Scripts/python-tools` makes.
@Suite("Signatures between us and another implementation", .enabled(if: PythonTools.areThere, "Scripts/python-tools"))
struct InteropTests {
    private static let script = "\(PythonTools.package)/Tests/AuthenticationTests/Interop/signatures.py"

    private struct Description: Codable {
        var method: String
        var url: String
        var headers: [[String]]
        var body: String?
        var keyid = "shop"
        var key = Base64.standard.encode(SignedRequest.rfcSecret)
        var created: Int64 = 1_800_000_000
        var nonce: String
        var components: [String]
    }

    private static let verifier = SignatureVerifier(
        clients: [
            SigningClient(
                keyID: "shop", key: .hmacSHA256(SignedRequest.rfcSecret), client: "shop", scopes: [], hotelIDs: .all)
        ], terms: SignatureTerms())

    private static let requests: [(request: SignedRequest, body: String?, components: [String])] = {
        let base = ["@method", "@target-uri"]
        let fields = [("Host", "example.com"), ("X-List", "a, b"), ("X-List", "c"), ("Empty", "")]
        return [
            (SignedRequest(method: "GET", query: nil, fields: fields), nil, base),
            (SignedRequest(fields: fields), SignedRequest.rfcContent, base + ["content-digest"]),
            (SignedRequest(fields: fields), "", base + ["content-digest"]),
            (
                SignedRequest(
                    authority: "example.com:8443", path: "/a%20b/c", query: "q=%E9%83%A8+x&n=1~2*&empty=",
                    fields: fields),
                "部屋",
                base
                    + [
                        "@authority", "@scheme", "@request-target", "@path", "@query", "x-list", "empty",
                        #""@query-param";name="n""#, #""@query-param";name="q""#, #""@query-param";name="empty""#,
                        #""x-list";bs"#, "content-digest",
                    ]
            ),
        ]
    }()

    private func descriptions() -> [Description] {
        Self.requests.enumerated().map { index, entry in
            Description(
                method: entry.request.method, url: entry.request.url,
                headers: entry.request.fields.map { [$0.name, $0.value] }, body: entry.body,
                nonce: "nonce-of-request-\(index)", components: entry.components)
        }
    }

    @Test("What it signs we accept, with every component that both know")
    func theirs() throws {
        let signed: [[[String]]] = try PythonTools.run(Self.script, arguments: ["sign"], descriptions())
        #expect(signed.count == Self.requests.count)
        for (index, headers) in signed.enumerated() {
            let (request, body, _) = Self.requests[index]
            var received = request
            received.fields = headers.map { ($0[0], $0[1]) }
            let signature = try Self.verifier.verify(received, hasContent: body != nil, now: 1_800_000_010)
            #expect(signature.nonce == "nonce-of-request-\(index)")
            if let body { #expect(signature.contentDigest?.matches(Array(body.utf8)) == true) }
            received.method = "PATCH"
            #expect(throws: AuthenticationError.self) {
                try Self.verifier.verify(received, hasContent: body != nil, now: 1_800_000_010)
            }
        }
    }

    @Test("What we sign it accepts, and what was changed it refuses as we do")
    func ours() throws {
        var signed: [Description] = []
        for description in descriptions() {
            let index = signed.count / 2
            var request = Self.requests[index].request
            if let body = description.body {
                let digest = Base64.standard.encode(SHA256.hash(body))
                request.fields.append(("Content-Digest", "sha-256=:\(digest):"))
            }
            let names = description.components.map { $0.hasPrefix("\"") ? $0 : "\"\($0)\"" }.joined(separator: " ")
            let now = Int64(Date().timeIntervalSince1970)
            request = request.signed(#"(\#(names));created=\#(now);nonce="\#(description.nonce)";keyid="shop""#)
            var good = description
            good.headers = request.fields.map { [$0.name, $0.value] }
            var bad = good
            bad.url += bad.url.contains("?") ? "&x=1" : "?x=1"
            signed += [good, bad]
        }
        let answers: [String] = try PythonTools.run(Self.script, arguments: ["check"], signed)
        for (index, answer) in answers.enumerated() { #expect((answer == "good") == (index % 2 == 0), "\(answer)") }
    }
}
