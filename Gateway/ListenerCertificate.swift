internal import Loop
internal import Policy
internal import TLS
internal import Telemetry

/// The certificate that a listener shows: how long it is good for can be seen, and is said when it is not for long.
@OnLoop
final class ListenerCertificate {
    let context: TLSServerContext
    private let listener: String
    private let failures: Counter

    /// - Throws: `TLSError` that names the file at fault.
    init(listener: String, _ policy: GatewayPolicy.TLS) throws {
        var configuration = TLSServerContext.Configuration(
            certificateChainPath: policy.certificateFile, keyPath: policy.keyFile)
        configuration.minimumVersion = policy.minimumVersion == .tls12 ? .tls12 : .tls13
        let context = try TLSServerContext(configuration)
        self.context = context
        self.listener = listener
        failures = Metrics.counter(
            "drawbridge_tls_certificate_reload_failures_total",
            "Certificates that were to be read again and could not be used; the old one stays in force.",
            [("listener", listener)])
        Metrics.gauge(
            "drawbridge_tls_certificate_expiry_seconds", "When the certificate in force ends, in Unix time.",
            [("listener", listener)]
        ) { Double(context.validity.notAfter) }
        warn()
    }

    /// Reads the files again; a certificate that cannot be used leaves the old one in force.
    func reload() {
        do {
            try context.reload()
            Log.info("certificate reloaded", ["listener": .init(listener)])
            warn()
        } catch {
            failures.increment()
            Log.error("certificate not reloaded", ["listener": .init(listener), "error": .init(error: error)])
        }
    }

    private func warn() {
        switch context.warning {
        case .certificateExpired(let path): Log.warning("certificate has expired", fields(path))
        case .certificateExpiresSoon(let path): Log.warning("certificate expires within a week", fields(path))
        case .certificateNotYetValid(let path): Log.warning("certificate is not valid yet", fields(path))
        case nil: break
        }
    }

    private func fields(_ path: String) -> KeyValuePairs<StaticString, Log.Value> {
        [
            "listener": .init(listener), "file": .init(path), "valid_from": .init(context.validity.notBefore),
            "valid_to": .init(context.validity.notAfter),
        ]
    }
}
