internal import Cryptography

/// A request as a signature sees it (RFC 9421 §2): what its components are made of.
public protocol SignedMessage {
    /// The method, as sent.
    var method: String { get }
    /// `http` or `https`.
    var scheme: String { get }
    /// Host and port, as sent.
    var authority: String { get }
    /// The path, still percent-encoded; `/` where there is none.
    var path: String { get }
    /// What follows the `?`, still percent-encoded; `nil` where there is none.
    var query: String? { get }
    /// The target as it stands in the request line.
    var requestTarget: String { get }
    /// The values of the fields with a name in lower case, in order, without the white space around them.
    func fieldValues(_ name: String) -> [String]
}

/// What is signed: a line for each covered component and one for the signature's own parameters (RFC 9421 §2.5).
enum SignatureBase {
    /// Builds the text.
    ///
    /// - Returns: `nil` when a component is unknown, is named twice, or is not in the message: then the signature
    ///   covers something that we cannot see, or sees something that we do not.
    static func text(_ covered: StructuredField.InnerList, of message: some SignedMessage) -> String? {
        var lines = ""
        var names: Set<String> = []
        for item in covered.items {
            guard case .string(let name) = item.value, let value = value(name, item.parameters, of: message) else {
                return nil
            }
            let identifier = StructuredField.serialize(item)
            // A line end inside of a value would let one component pass for two, and what is not ASCII has more than
            // one form.
            guard names.insert(identifier).inserted, value.utf8.allSatisfy({ 0x20...0x7E ~= $0 || $0 == 0x09 }) else {
                return nil
            }
            lines += "\(identifier): \(value)\n"
        }
        return lines + "\"@signature-params\": \(StructuredField.serialize(covered))"
    }

    private static func value(
        _ name: String, _ parameters: StructuredField.Parameters, of message: some SignedMessage
    ) -> String? {
        if name == "@query-param" { return queryParameter(parameters, of: message) }
        // The others that there are (`req`, `tr`, `sf`, `key`) speak of answers and trailers, or of rewritten fields.
        let isWrapped = parameters.count == 1 && parameters[0] == ("bs", .boolean(true)) && !name.hasPrefix("@")
        guard parameters.isEmpty || isWrapped else { return nil }
        switch name {
        case "@method": return message.method
        case "@target-uri":
            return "\(message.scheme)://\(authority(of: message))\(message.path)\(message.query.map { "?\($0)" } ?? "")"
        case "@authority": return authority(of: message)
        case "@scheme": return message.scheme
        case "@request-target": return message.requestTarget
        case "@path": return message.path
        case "@query": return "?" + (message.query ?? "")
        default: return field(name, of: message, wrapped: isWrapped)
        }
    }

    /// Lower case, without the scheme's own port (RFC 9421 §2.2.3).
    private static func authority(of message: some SignedMessage) -> String {
        let authority = message.authority.lowercased()
        let port = message.scheme == "https" ? ":443" : ":80"
        return authority.hasSuffix(port) ? String(authority.dropLast(port.utf8.count)) : authority
    }

    /// All lines of a field as one (§2.1), or each as a byte sequence (§2.1.3).
    private static func field(_ name: String, of message: some SignedMessage, wrapped: Bool) -> String? {
        let isName = !name.isEmpty && name.utf8.allSatisfy { $0 != UInt8(ascii: "@") && !(0x41...0x5A ~= $0) }
        let values = isName ? message.fieldValues(name) : []
        guard !values.isEmpty else { return nil }
        return values.map { wrapped ? ":\(Base64.standard.encode(Array($0.utf8))):" : $0 }.joined(separator: ", ")
    }

    /// One parameter of the query, decoded and encoded again (§2.2.8); one that stands there twice is ambiguous.
    private static func queryParameter(
        _ parameters: StructuredField.Parameters, of message: some SignedMessage
    ) -> String? {
        guard parameters.count == 1, parameters[0].name == "name", case .string(let name) = parameters[0].value,
            let wanted = QueryText.decode(name[...])
        else { return nil }
        var found: [UInt8]?
        for pair in (message.query ?? "").split(separator: "&") {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard let key = QueryText.decode(parts[0]) else { return nil }
            guard key == wanted else { continue }
            guard found == nil, let value = QueryText.decode(parts.count > 1 ? parts[1] : "") else { return nil }
            found = value
        }
        return found.map { QueryText.encode($0) }
    }
}

/// The form in which forms are sent, `application/x-www-form-urlencoded` (WHATWG URL §5).
private enum QueryText {
    static func decode(_ text: Substring) -> [UInt8]? {
        var bytes: [UInt8] = []
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            switch byte {
            case UInt8(ascii: "+"): bytes.append(UInt8(ascii: " "))
            case UInt8(ascii: "%"):
                guard let decoded = Hexadecimal.decode(String(decoding: rest.prefix(2), as: UTF8.self)),
                    decoded.count == 1
                else { return nil }
                bytes.append(decoded[0])
                rest = rest.dropFirst(2)
            default: bytes.append(byte)
            }
        }
        return bytes
    }

    /// Everything but letters, digits and `*-._` is encoded, a space as `%20`.
    static func encode(_ bytes: [UInt8]) -> String {
        var text = ""
        for byte in bytes {
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, UInt8(ascii: "*"), UInt8(ascii: "-"), UInt8(ascii: "."),
                UInt8(ascii: "_"):
                text.unicodeScalars.append(Unicode.Scalar(byte))
            default: text += "%" + Hexadecimal.encode([byte]).uppercased()
            }
        }
        return text
    }
}
