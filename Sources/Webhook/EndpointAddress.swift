internal import Egress

/// Whether a text can be the address of an endpoint: of its form only. Where it leads is looked at whenever something is sent
/// there, for names may lead elsewhere by then.
public enum EndpointAddress {
    /// What is wrong with an address, as a sentence that repeats nothing of it; nil where it can be used.
    ///
    /// What sending reads as an address is one (`WebAddress`): an absolute `https` address (RFC 3986) without user, password and
    /// fragment, ASCII throughout.
    ///
    /// - Parameter allowsPlainLoopback: whether `http` is taken, too, where the host is this machine by its own loopback
    ///   address or as `localhost`: in the demo, whose receivers have no certificate.
    public static func fault(of text: String, allowsPlainLoopback: Bool) -> String? {
        let address: WebAddress
        do throws(EgressRefusal) { address = try WebAddress(text) } catch { return sentence(for: error.code) }
        // Our tables have the scheme in small letters alone.
        guard text.hasPrefix(address.isSecure ? "https:" : "http:") else { return sentence(for: .scheme) }
        guard !address.isSecure else { return nil }
        guard allowsPlainLoopback else { return sentence(for: .scheme) }
        return address.isLoopback ? nil : "An https address is expected; http only on this machine's loopback"
    }

    private static func sentence(for code: EgressRefusal.Code) -> String {
        switch code {
        case .form:
            "An absolute address of at most \(WebAddress.maximumByteCount) characters is expected, in ASCII, percent-encoded "
                + "where it has to be, without blanks and without a fragment"
        case .scheme: "An https address is expected"
        case .userInformation: "No user and no password may stand in the address"
        case .host, .address: "The address has no host: a name, or an address such as 192.0.2.7 or [2001:db8::7]"
        case .port: "The address has a port that is none"
        }
    }
}
