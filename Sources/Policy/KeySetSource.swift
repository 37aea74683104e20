public import Authentication
internal import HTTP

/// Where an issuer publishes its keys, and how long what was found there counts.
public struct KeySetSource: Sendable, Equatable {
    /// Where a set is.
    public enum Location: Sendable, Equatable {
        /// On the issuer's server: HTTPS, or HTTP on this machine.
        case url(String)
        /// In a file, which may be replaced at any time.
        case file(String)
    }

    /// Where the set is.
    public var location: Location
    /// The algorithms the issuer signs with by these keys; at least one.
    public var algorithms: [SignatureAlgorithm]
    /// How long a set counts as fresh at most.
    public var refresh: Duration
    /// How long a key that has gone from the set is still believed.
    public var overlap: Duration
    /// A PEM file of the authorities that may vouch for the server; `nil` for the system's.
    public var authoritiesFile: String?

    init?(reading mapping: PolicyMapping, installation: InstallationDirectory) {
        let url = mapping.optional("url")
        let file = mapping.optional("file")
        algorithms = Self.algorithms(mapping)
        refresh = mapping.duration("refresh", in: .seconds(10)...Duration.seconds(86_400), default: .seconds(900))
        overlap = mapping.duration("overlap", in: .zero...Duration.seconds(86_400), default: .seconds(600))
        authoritiesFile =
            mapping.optional("authorities") == nil
            ? nil
            : installation.existingFile(mapping, "authorities", expected: CertificateFiles.authoritiesForm)
        switch (url, file) {
        case (let url?, nil):
            guard let text = url.text() else { return nil }
            if !Self.isAddress(text) { url.refuse(expected: "an https address (or http on this machine)") }
            location = .url(text)
        case (nil, let file?):
            guard let text = file.text() else { return nil }
            location = .file(installation.path(text))
            Self.check(file, at: installation.path(text), Set(algorithms))
        default:
            (url ?? mapping.required("url", expected: "a url or a file"))?.refuse(expected: "a url or a file, not both")
            return nil
        }
    }

    private static func algorithms(_ mapping: PolicyMapping) -> [SignatureAlgorithm] {
        let expected = "what the issuer signs with: RS256, ES256"
        let nodes = mapping.required("algorithms", expected: expected)?.elements(atLeast: 1) ?? []
        return nodes.compactMap { node in
            let algorithm = node.choice(SignatureAlgorithm.self)
            // A secret that is published is none.
            if algorithm == .hs256 { node.refuse(expected: expected) }
            return algorithm
        }
    }

    /// HTTPS, or HTTP on this machine, without a user's name: what the bridge fetches, too.
    private static func isAddress(_ text: String) -> Bool {
        guard let scheme = ["https://", "http://"].first(where: { text.hasPrefix($0) }) else { return false }
        let rest = text.dropFirst(scheme.count)
        let end = rest.firstIndex { $0 == "/" || $0 == "?" } ?? rest.endIndex
        let authority = rest[..<end]
        let path = rest[end...].hasPrefix("/") ? String(rest[end...]) : "/\(rest[end...])"
        guard RequestTarget(path, authority: String(authority)) != nil else { return false }
        let local = ["127.0.0.1", "localhost", "[::1]"]
        return scheme == "https://" || local.contains { authority == $0 || authority.hasPrefix("\($0):") }
    }

    private static func check(_ node: PolicyNode, at path: String, _ algorithms: Set<SignatureAlgorithm>) {
        switch PolicyFile.contents(of: path, limit: KeySet.maximumByteCount) {
        case .failure(let failure): node.refuse(expected: failure.expected, found: failure.found)
        case .success(let contents):
            guard !algorithms.isEmpty else { return }
            do {
                _ = try KeySet(json: contents, algorithms: algorithms)
            } catch {
                node.refuse(expected: error.expected, found: error.found)
            }
        }
    }

    /// Reads the set in a file as it is now; `nil` where it cannot be read.
    public static func contents(ofFile path: String) -> [UInt8]? {
        try? PolicyFile.contents(of: path, limit: KeySet.maximumByteCount).get()
    }
}
