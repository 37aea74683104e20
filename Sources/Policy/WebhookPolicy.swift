internal import Authentication
internal import Cryptography
internal import HTTP

extension WebhookSender {
    init?(reading mapping: PolicyMapping, installation: InstallationDirectory) {
        let nameForm = "a name of 1 to 64 letters, digits, dots, hyphens, underscores"
        let nameNode = mapping.required("name", expected: nameForm)
        let name = nameNode?.text(nameForm)
        if let name, !VerificationKey.isKeyID(name) { nameNode?.refuse(expected: nameForm) }
        let memory = Self.memory(mapping)
        let terms = WebhookTerms(reading: mapping, installation: installation)
        guard let client = RegisteredClient(reading: mapping), let terms, let name else { return nil }
        self.init(
            name: name, terms: terms, memoryInSeconds: memory ?? 0, client: client.name, scopes: client.scopes,
            hotelIDs: client.hotelIDs)
    }

    /// How long webhooks are remembered that do not say when they were sent; only and always for those.
    private static func memory(_ mapping: PolicyMapping) -> Int64? {
        let (timestamp, remember) = (mapping.optional("timestamp"), mapping.optional("remember"))
        let expected = "either a timestamp that is signed, or remember: how long a repetition is refused"
        switch (timestamp, remember) {
        case (nil, nil):
            _ = mapping.required("timestamp", expected: expected)
        case (_?, let remember?): remember.refuse(expected: expected)
        default: break
        }
        return remember?.seconds(in: 1...14_400)
    }
}

extension WebhookTerms {
    init?(reading mapping: PolicyMapping, installation: InstallationDirectory) {
        let field = Self.fieldName(mapping, "field")
        let encoding = mapping.required("encoding", expected: "hex or base64")?.choice(Encoding.self)
        let prefix = mapping.text("prefix", default: "")
        let separator = Self.separator(mapping)
        let signed = Self.signed(mapping)
        let secrets = Self.secrets(mapping, installation)
        guard let field, let encoding, let signed else { return nil }
        self.init(
            field: field, prefix: prefix, separator: separator, encoding: encoding, signed: signed, secrets: secrets)
        _ = mapping.optional("timestamp")?.mapping { readTimestamp($0) }
    }

    private mutating func readTimestamp(_ mapping: PolicyMapping) {
        timestampField = Self.fieldName(mapping, "field")
        timestampPrefix = mapping.text("prefix", default: "")
        maximumAgeInSeconds = mapping.optional("maximum_age")?.seconds(in: 1...3600) ?? maximumAgeInSeconds
        clockSkewInSeconds = mapping.optional("clock_skew")?.seconds(in: 0...300) ?? clockSkewInSeconds
    }

    /// What is signed. A time counts only where it is part of that.
    private static func signed(_ mapping: PolicyMapping) -> [Part]? {
        let hasTimestamp = mapping.optional("timestamp") != nil
        let expected =
            "what is signed, such as \"{timestamp}.{body}\": {body}, {timestamp}, {field:name}, text between each two"
        let node =
            hasTimestamp ? mapping.required("signed", expected: expected) : mapping.optional("signed")
        guard let node else { return hasTimestamp ? nil : [.body] }
        guard let text = node.text(expected) else { return nil }
        guard let parts = Self.parts(text) else {
            node.refuse(expected: expected)
            return nil
        }
        if parts.contains(.timestamp) != hasTimestamp {
            node.refuse(
                expected: hasTimestamp
                    ? "{timestamp} in it: a time that is not signed can be changed by anybody"
                    : "a timestamp to be described, or no {timestamp}")
        }
        for case .field(let name) in parts where !isFieldName(name) {
            node.refuse(expected: "fields' names in lower case", found: name)
        }
        return parts
    }

    private static func separator(_ mapping: PolicyMapping) -> Character? {
        guard let node = mapping.optional("separator") else { return nil }
        let expected = "the one character between several codes"
        guard let text = node.text(expected), text.utf8.count == 1 else {
            node.refuse(expected: expected)
            return nil
        }
        return text.first
    }

    private static func fieldName(_ mapping: PolicyMapping, _ key: String) -> String? {
        let expected = "a field's name in lower case, other than authorization"
        guard let node = mapping.required(key, expected: expected), let name = node.text(expected) else { return nil }
        // Whatever stands in Authorization is one of the other ways in.
        if !isFieldName(name) || name == "authorization" { node.refuse(expected: expected) }
        return name
    }

    static func isFieldName(_ name: String) -> Bool {
        Fields.isValidName(name) && name == name.lowercased()
    }

    private static func secrets(_ mapping: PolicyMapping, _ installation: InstallationDirectory) -> [[UInt8]] {
        let form = mapping.choice("secret_form", default: SharedSecret.Form.base64)
        return SharedSecret.read(filesIn: mapping, form, atLeast: minimumSecretByteCount, installation)
    }
}

extension PolicyNode {
    /// A time in whole seconds.
    func seconds(in bounds: ClosedRange<Int64>) -> Int64? {
        guard let duration = duration(in: .seconds(bounds.lowerBound)...Duration.seconds(bounds.upperBound)) else {
            return nil
        }
        let (seconds, rest) = duration.components
        if rest != 0 { refuse(expected: "whole seconds") }
        return seconds
    }
}
