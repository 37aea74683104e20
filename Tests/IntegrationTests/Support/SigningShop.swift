import Cryptography
import Loop
import Testing

/// A client that signs its requests, as RFC 9421 has it, written out by hand. It sees hotel 2.
struct SigningShop: Sendable {
    private let secret = SecureRandom.bytes(32)

    /// Makes it known to an installation before its start, whose clock its own agrees with.
    @OnLoop
    func register(at node: Node) {
        let (file, keys) = ("\(node.policies)/shop.secret", "\(node.policies)/keys.yaml")
        Files.write(Base64.standard.encode(secret), to: file)
        let changed = Files.text(keys).replacing("clock_skew: 5 s", with: "clock_skew: 0 s").replacing(
            "  clients: []",
            with: """
                  clients:
                    - keyid: shop-1
                      algorithm: hmac-sha256
                      file: \(file)
                      client: shop
                      scopes: ["hotel:read", "booking:write", "booking:read"]
                      hotel_ids: [2]
                """)
        #expect(changed.contains("shop-1"))
        Files.write(changed, to: keys)
    }

    /// - Parameters:
    ///   - age: in seconds since it was signed.
    ///   - covered: what the signature covers; all there is without it.
    func signed(
        _ method: String, _ target: String, content: String? = nil, age: Int = 0, covered: [String]? = nil
    ) -> TestRequest {
        var request = TestRequest(method: method, target: target, content: content.map { Array($0.utf8) })
        var values = ["@method": method, "@target-uri": "https://localhost\(target)"]
        if let content {
            values["content-digest"] = "sha-256=:\(Base64.standard.encode(SHA256.hash(content))):"
            request = request.with("Content-Type", "application/json").with("Content-Digest", values["content-digest"]!)
        }
        let names = covered ?? values.keys.sorted()
        let nonce = Base64.url.encode(SecureRandom.bytes(18))
        let parameters =
            "(\(names.map { "\"\($0)\"" }.joined(separator: " ")));created=\(Int(Loop.unixTime) - age)"
            + ";nonce=\"\(nonce)\";keyid=\"shop-1\""
        let base =
            names.map { "\"\($0)\": \(values[$0]!)\n" }.joined() + "\"@signature-params\": \(parameters)"
        var mac = HMACSHA256(key: secret.span)
        return request.with("Signature-Input", "a=\(parameters)")
            .with("Signature", "a=:\(Base64.standard.encode(mac.authenticationCode(for: base))):")
    }
}
