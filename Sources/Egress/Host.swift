internal import Glibc

/// What stands for a machine in a URL (RFC 3986 §3.2.2), as whoever connects takes it.
enum Host: Hashable {
    /// A name of DNS, in lower case, without the dot that may end it.
    case name(String)
    case address(IPAddress)

    /// Reads one; nil for what is none.
    ///
    /// Resolvers take more for an address than the usual form: `127.1`, `2130706433`, `0x7f.1`, `0177.0.0.1`. Whatever
    /// ends in a number is an address in the usual form, or nothing (as in the URL standard of browsers, "ends in a
    /// number"). A name in another script than Latin has to be written in its ASCII form, because its conversion makes
    /// digits and dots of characters that do not look it.
    init?(_ text: String) {
        if text.hasPrefix("["), text.hasSuffix("]") {
            guard text.contains(":"), let address = IPAddress(String(text.dropFirst().dropLast())) else { return nil }
            self = .address(address)
            return
        }
        if !text.contains(":"), let address = IPAddress(text) {
            self = .address(address)
            return
        }
        let name = (text.hasSuffix(".") ? String(text.dropLast()) : text).lowercased()
        let labels = name.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard name.utf8.count <= 253, labels.allSatisfy(Self.isLabel), !Self.isNumber(labels.last!) else { return nil }
        self = .name(name)
    }

    /// Letters, digits, hyphens within, and the underscore that some names have in spite of RFC 1123.
    private static func isLabel(_ label: Substring.UTF8View) -> Bool {
        (1...63).contains(label.count) && label.first != UInt8(ascii: "-") && label.last != UInt8(ascii: "-")
            && label.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"),
                    UInt8(ascii: "_"):
                    true
                default: false
                }
            }
    }

    /// Whether it is digits, or `0x` and hexadecimal digits, of which there may be none.
    private static func isNumber(_ label: Substring.UTF8View) -> Bool {
        if label.starts(with: "0x".utf8) { return label.dropFirst(2).allSatisfy { isxdigit(CInt($0)) != 0 } }
        return label.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
    }

    /// As it stands in a URL.
    var text: String {
        switch self {
        case .name(let name): name
        case .address(let address): address.isIPv4 ? "\(address)" : "[\(address)]"
        }
    }
}
