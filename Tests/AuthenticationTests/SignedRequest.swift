import Cryptography

@testable import Authentication

/// A request as a client would sign it.
struct SignedRequest: SignedMessage {
    var method = "POST"
    var scheme = "https"
    var authority = "example.com"
    var path = "/foo"
    var query: String? = "param=Value&Pet=dog"
    var fields: [(name: String, value: String)] = []

    var requestTarget: String { path + (query.map { "?\($0)" } ?? "") }
    var url: String { "\(scheme)://\(authority)\(requestTarget)" }

    func fieldValues(_ name: String) -> [String] { fields.filter { $0.name.lowercased() == name }.map(\.value) }

    /// The request of RFC 9421 B.2.
    static let rfc = SignedRequest(fields: [
        ("Host", "example.com"), ("Date", "Tue, 20 Apr 2021 02:07:55 GMT"), ("Content-Type", "application/json"),
        (
            "Content-Digest",
            "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:"
        ), ("Content-Length", "18"),
    ])
    static let rfcContent = #"{"hello": "world"}"#
    /// The key `test-shared-secret` of RFC 9421 B.1.5.
    static let rfcSecret = Base64.standard.decode(
        "uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ==")!

    /// The base for an inner list given as text.
    func base(_ covered: String) -> String? {
        guard case .list(let list)? = StructuredField.dictionary("x=\(covered)".utf8.span)?.first?.member else {
            return nil
        }
        return SignatureBase.text(list, of: self)
    }

    /// The request with a signature over what the inner list names.
    func signed(_ covered: String, secret: [UInt8] = rfcSecret, label: String = "sig") -> SignedRequest {
        var mac = HMACSHA256(key: secret.span)
        let signature = Base64.standard.encode(mac.authenticationCode(for: base(covered) ?? ""))
        var request = self
        request.fields.append(("Signature-Input", "\(label)=\(covered)"))
        request.fields.append(("Signature", "\(label)=:\(signature):"))
        return request
    }
}
