/// Looks into the files of certificates as those do who use them, for checking them before anybody does.
public enum TLSFiles {
    /// What is to be said about a certificate and its key.
    public struct Examination: Sendable, Equatable {
        /// From when to when the certificate is good; nil where it cannot be used.
        public var validity: TLSValidity?
        /// Why the certificate cannot be used.
        public var certificateFault: TLSError?
        /// Why the key cannot be used, or not with this certificate.
        public var keyFault: TLSError?
    }

    /// Loads a certificate with its chain, and its key, as `TLSServerContext` does.
    public static func examine(certificateChain: String, key: String) throws(TLSError) -> Examination {
        let context = try Context(isServer: true, versions: .tls12 ... .tls13)
        var examination = Examination()
        do throws(TLSError) {
            examination.validity = try context.load(certificateChain: certificateChain)
        } catch {
            examination.certificateFault = error
        }
        do throws(TLSError) { try context.load(key: key) } catch { examination.keyFault = error }
        return examination
    }

    /// Loads the authorities in a file, as `TLSClientContext` does.
    ///
    /// - Throws: `TLSError` where there are none.
    public static func examine(authorities path: String) throws(TLSError) {
        try Context(isServer: false, versions: .tls12 ... .tls13).trust(authorities: path)
    }
}
