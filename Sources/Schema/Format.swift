/// What a string must look like beyond its characters: the formats that descriptions may name. Any other is refused
/// when the description is read.
enum Format: String, Sendable, CaseIterable {
    /// RFC 3339 §5.6.
    case date
    /// RFC 3339 §5.6.
    case dateTime = "date-time"
    /// RFC 3339 §5.6.
    case time
    /// RFC 9562 §4.
    case uuid
    /// An address as the bridge takes it: one @, something before it, names with dots after it, no blanks.
    ///
    /// Wider than RFC 5321 in its dots, because Japanese mobile carriers gave out addresses such as
    /// `a..b.@example.ne.jp`; without quoted local parts and address literals.
    case email
    /// RFC 3986 §3.
    case uri
    /// RFC 3986 §4.1.
    case uriReference = "uri-reference"
    /// `whsec_` and base64 with its padding (Standard Webhooks 1.0.0, "Signature scheme"). Random text that a firewall's rules
    /// now and then take for something.
    case webhookSecret = "webhook-secret"

    /// Whether nothing but what the format is for can be said in it.
    var isConfining: Bool {
        switch self {
        case .date, .dateTime, .time, .uuid, .webhookSecret: true
        case .email, .uri, .uriReference: false
        }
    }

    /// What is told to a client whose text has another form.
    var expectation: String {
        switch self {
        case .date: "A date as YYYY-MM-DD is expected"
        case .dateTime: "An instant as YYYY-MM-DDThh:mm:ssZ is expected"
        case .time: "A time as hh:mm:ssZ is expected"
        case .uuid: "A UUID is expected"
        case .email: "An e-mail address is expected"
        case .uri: "An absolute URI is expected"
        case .uriReference: "A URI reference is expected"
        case .webhookSecret: "whsec_ and base64 are expected"
        }
    }

    /// Whether a text, UTF-8, has the form.
    func matches(_ text: ArraySlice<UInt8>) -> Bool {
        switch self {
        case .date: text.count == 10 && Self.isDate(text)
        case .dateTime:
            text.count > 11 && Self.isDate(text.prefix(10)) && text[text.startIndex + 10] | 0x20 == UInt8(ascii: "t")
                && Self.isTime(text.dropFirst(11))
        case .time: Self.isTime(text)
        case .uuid: Self.isUUID(text)
        case .email: Self.isEmail(text)
        case .uri: URIForm.isURI(text)
        case .uriReference: URIForm.isReference(text)
        case .webhookSecret: Self.isWebhookSecret(text)
        }
    }

    private static func isWebhookSecret(_ text: ArraySlice<UInt8>) -> Bool {
        let prefix = "whsec_".utf8
        guard text.starts(with: prefix) else { return false }
        let base64 = text.dropFirst(prefix.count)
        let padding = base64.reversed().prefix { $0 == UInt8(ascii: "=") }.count
        return padding <= 2 && base64.count.isMultiple(of: 4)
            && base64.dropLast(padding).allSatisfy { byte in
                switch byte {
                case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, UInt8(ascii: "+"), UInt8(ascii: "/"): true
                default: false
                }
            }
    }

    // MARK: Dates and times

    private static func isDate(_ text: ArraySlice<UInt8>) -> Bool {
        let start = text.startIndex
        guard let year = number(text, start..<start + 4), let month = number(text, start + 5..<start + 7),
            let day = number(text, start + 8..<start + 10), text[start + 4] == UInt8(ascii: "-"),
            text[start + 7] == UInt8(ascii: "-"), 1...12 ~= month
        else { return false }
        let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
        let days = [31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1]
        return 1...days ~= day
    }

    private static func isTime(_ text: ArraySlice<UInt8>) -> Bool {
        let start = text.startIndex
        guard text.count >= 9, let hour = number(text, start..<start + 2),
            let minute = number(text, start + 3..<start + 5), let second = number(text, start + 6..<start + 8),
            text[start + 2] == UInt8(ascii: ":"), text[start + 5] == UInt8(ascii: ":"), hour < 24, minute < 60,
            second <= 60
        else { return false }
        var rest = text.dropFirst(8)
        if rest.first == UInt8(ascii: ".") {
            let fraction = rest.dropFirst().prefix { 0x30...0x39 ~= $0 }
            guard !fraction.isEmpty else { return false }
            rest = rest.dropFirst(fraction.count + 1)
        }
        guard let offset = minutes(ofOffset: rest) else { return false }
        // A leap second is the last one of a day in UTC (RFC 3339 §5.7).
        return second < 60 || (hour * 60 + minute - offset + 2880) % 1440 == 1439
    }

    /// Minutes ahead of UTC.
    private static func minutes(ofOffset text: ArraySlice<UInt8>) -> Int? {
        if text.count == 1, text.first! | 0x20 == UInt8(ascii: "z") { return 0 }
        let start = text.startIndex
        guard text.count == 6, text[start] == UInt8(ascii: "+") || text[start] == UInt8(ascii: "-"),
            text[start + 3] == UInt8(ascii: ":"), let hours = number(text, start + 1..<start + 3),
            let minutes = number(text, start + 4..<start + 6), hours < 24, minutes < 60
        else { return nil }
        return (text[start] == UInt8(ascii: "-") ? -1 : 1) * (hours * 60 + minutes)
    }

    private static func number(_ text: ArraySlice<UInt8>, _ range: Range<Int>) -> Int? {
        var value = 0
        for index in range {
            guard 0x30...0x39 ~= text[index] else { return nil }
            value = value * 10 + Int(text[index] & 15)
        }
        return value
    }

    // MARK: Names

    private static func isUUID(_ text: ArraySlice<UInt8>) -> Bool {
        guard text.count == 36 else { return false }
        for (offset, byte) in text.enumerated() {
            let isHyphen = offset == 8 || offset == 13 || offset == 18 || offset == 23
            guard isHyphen ? byte == UInt8(ascii: "-") : byte.hexadecimalValue != nil else { return false }
        }
        return true
    }

    private static func isEmail(_ text: ArraySlice<UInt8>) -> Bool {
        let parts = text.split(separator: UInt8(ascii: "@"), omittingEmptySubsequences: false)
        guard parts.count == 2, 1...64 ~= parts[0].count, !parts[1].isEmpty else { return false }
        for byte in text {
            switch byte {
            case 0...0x20, 0x7F, UInt8(ascii: ","), UInt8(ascii: ";"), UInt8(ascii: "<"), UInt8(ascii: ">"):
                return false
            default: break
            }
        }
        let labels = parts[1].split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        return labels.allSatisfy { !$0.isEmpty }
    }
}

/// The grammar of RFC 3986, as far as one look at each character goes.
enum URIForm {
    static func isURI(_ text: ArraySlice<UInt8>) -> Bool {
        guard let colon = text.firstIndex(of: UInt8(ascii: ":")), isScheme(text[..<colon]) else { return false }
        return isRest(text[(colon + 1)...])
    }

    static func isReference(_ text: ArraySlice<UInt8>) -> Bool {
        if isURI(text) { return true }
        // The first segment of a relative path has no colon (§4.2).
        let segment = text.prefix { $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: "?") && $0 != UInt8(ascii: "#") }
        return !segment.contains(UInt8(ascii: ":")) && isRest(text)
    }

    private static func isScheme(_ text: ArraySlice<UInt8>) -> Bool {
        guard let first = text.first, isLetter(first) else { return false }
        return text.allSatisfy { isLetter($0) || 0x30...0x39 ~= $0 || "+-.".utf8.contains($0) }
    }

    /// What follows the scheme.
    private static func isRest(_ text: ArraySlice<UInt8>) -> Bool {
        var path = text
        if text.starts(with: "//".utf8) {
            let end = text.dropFirst(2).firstIndex { "/?#".utf8.contains($0) } ?? text.endIndex
            guard isAuthority(text[(text.startIndex + 2)..<end]) else { return false }
            path = text[end...]
        }
        let parts = path.split(separator: UInt8(ascii: "#"), maxSplits: 1, omittingEmptySubsequences: false)
        return parts.allSatisfy { hasOnly($0, "/?:@!$&'()*+,;=") }
    }

    private static func isAuthority(_ text: ArraySlice<UInt8>) -> Bool {
        let at = text.lastIndex(of: UInt8(ascii: "@"))
        if let at, !hasOnly(text[..<at], ":!$&'()*+,;=") { return false }
        var host = at.map { text[($0 + 1)...] } ?? text
        if host.first == UInt8(ascii: "[") {
            guard let end = host.firstIndex(of: UInt8(ascii: "]")),
                host[(host.startIndex + 1)..<end].allSatisfy({ $0.hexadecimalValue != nil || ":.".utf8.contains($0) })
            else { return false }
            host = host[(end + 1)...]
            guard host.isEmpty || host.first == UInt8(ascii: ":") else { return false }
        }
        let parts = host.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
        guard parts.count <= 2, hasOnly(parts.first ?? [], "!$&'()*+,;=") else { return false }
        return parts.count < 2 || parts[1].allSatisfy { 0x30...0x39 ~= $0 }
    }

    /// Whether there are only unreserved characters, whole percent-encodings and those.
    private static func hasOnly(_ text: ArraySlice<UInt8>, _ others: StaticString) -> Bool {
        var index = text.startIndex
        while index < text.endIndex {
            let byte = text[index]
            if byte == UInt8(ascii: "%") {
                guard index + 2 < text.endIndex, text[index + 1].hexadecimalValue != nil,
                    text[index + 2].hexadecimalValue != nil
                else { return false }
                index += 2
            } else if !isLetter(byte), !(0x30...0x39 ~= byte), !"-._~".utf8.contains(byte),
                !others.withUTF8Buffer({ $0.contains(byte) })
            {
                return false
            }
            index += 1
        }
        return true
    }

    private static func isLetter(_ byte: UInt8) -> Bool { 0x61...0x7A ~= byte | 0x20 }
}
