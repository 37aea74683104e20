internal import Glibc
internal import TLS

/// The certificates that `gateway.yaml`, `issuers.yaml` and `egress.yaml` name, and what is in them.
///
/// That the files are there is part of reading the policy. What they hold is looked at when policies are to be put in
/// force, and not by each process that reads them: one that dies on the day a certificate ends must be able to come
/// back.
struct CertificateFiles {
    private static let certificateForm = "a PEM file with the certificate and what certifies it"
    private static let keyForm = "a PEM file with the private key, not encrypted"

    static let authoritiesForm = "a PEM file with certificates of authorities"

    let installation: InstallationDirectory
    /// When certificates must be good, in Unix time.
    let time = Int64(Glibc.time(nil))
    /// Those that need not be good now.
    let expired: ExpiredCertificates

    /// Looks into the files of authorities that vouch for issuers' servers, as the bridge would.
    ///
    /// - Throws: every mistake but files that are not there.
    func checkAuthorities(ofIssuers file: String) throws(PolicyError) {
        try PolicyFile.load(file) { root in
            guard case .sequence(let issuers)? = root.node["issuers"]?.value else { return () }
            for (index, issuer) in issuers.enumerated() {
                guard let keySet = issuer["key_set"] else { continue }
                checkAuthorities(PolicyNode(keySet, path: "issuers[\(index)].key_set", log: root.log))
            }
            return ()
        }
    }

    /// Looks into the file of authorities that vouch for receivers, as the bridge would.
    ///
    /// - Throws: every mistake but a file that is not there.
    func checkAuthorities(ofReceivers file: String) throws(PolicyError) {
        try PolicyFile.load(file) { root in checkAuthorities(root) }
    }

    private func checkAuthorities(_ node: PolicyNode) {
        guard let authorities = File("authorities", of: node, installation) else { return }
        do throws(TLSError) { try TLSFiles.examine(authorities: authorities.path) } catch {
            authorities.refuse(error, expected: Self.authoritiesForm)
        }
    }

    /// Looks into every listener's, as the listener would.
    ///
    /// - Throws: every mistake but files that are not there.
    func checkListeners(_ file: String) throws(PolicyError) {
        try PolicyFile.load(file) { root in
            guard case .sequence(let listeners)? = root.node["listeners"]?.value else { return () }
            for (index, listener) in listeners.enumerated() {
                guard let tls = listener["tls"] else { continue }
                check(PolicyNode(tls, path: "listeners[\(index)].tls", log: root.log))
            }
            return ()
        }
    }

    private func check(_ tls: PolicyNode) {
        guard let certificate = File("certificate", of: tls, installation), let key = File("key", of: tls, installation)
        else { return }
        do throws(TLSError) {
            let found = try TLSFiles.examine(certificateChain: certificate.path, key: key.path)
            if let fault = found.certificateFault { certificate.refuse(fault, expected: Self.certificateForm) }
            switch found.keyFault {
            case let fault? where fault.code == .keyMismatch:
                key.node.refuse(
                    expected: "the private key of \(certificate.name)",
                    found: "\(key.name), which belongs to another certificate")
            case let fault?: key.refuse(fault, expected: Self.keyForm)
            case nil: break
            }
            if let validity = found.validity { check(certificate, validity) }
        } catch {
            certificate.refuse(error, expected: Self.certificateForm)
        }
    }

    private func check(_ certificate: File, _ validity: TLSValidity) {
        guard time < validity.notBefore || time > validity.notAfter, !expired.allow(certificate.path) else { return }
        let words =
            time > validity.notAfter
            ? "was good until \(Self.text(validity.notAfter))" : "is good from \(Self.text(validity.notBefore))"
        certificate.node.refuse(
            expected: "a certificate that is good now", found: "\(certificate.name), which \(words)")
    }

    private static func text(_ unixTime: Int64) -> String {
        var seconds = time_t(unixTime)
        var parts = tm()
        var buffer = [CChar](repeating: 0, count: 32)
        gmtime_r(&seconds, &parts)
        let count = strftime(&buffer, buffer.count, "%Y-%m-%dT%H:%M:%SZ", &parts)
        return String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// A file that a key of the policy names.
    private struct File {
        let node: PolicyNode
        /// As the policy has it.
        let name: String
        let path: String

        /// `nil` where the policy names none, which is a mistake that reading it has found.
        init?(_ key: String, of tls: PolicyNode, _ installation: InstallationDirectory) {
            guard let value = tls.node[key], case .scalar(let name, _) = value.value, !name.isEmpty,
                !name.utf8.contains(0)
            else { return nil }
            node = PolicyNode(value, path: tls.path(to: key), log: tls.log)
            self.name = name
            path = installation.path(name)
        }

        func refuse(_ fault: TLSError, expected: String) {
            guard fault.code != .fileMissing else { return }
            node.refuse(expected: expected, found: "\(name) (\(fault.reason))")
        }
    }
}

/// Which certificates policies may name that have ended, or are not good yet.
public enum ExpiredCertificates: Sendable {
    /// None.
    case refused
    /// Those that a listener shows already, by their paths: other policies make them no worse.
    case allowed(at: Set<String>)
    /// All: for a start, because no service at all would be worse.
    case allAllowed

    fileprivate func allow(_ path: String) -> Bool {
        switch self {
        case .refused: false
        case .allowed(let paths): paths.contains(path)
        case .allAllowed: true
        }
    }
}
