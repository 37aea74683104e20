public import Egress

/// Why a request was not answered, or not so that its status is known.
public struct SendError: Error, Sendable, CustomStringConvertible {
    /// What went wrong.
    public enum Code: Sendable, Hashable {
        /// Its turn did not come in time, because too many others were on their way. Nothing was sent.
        case notBegun
        /// Something of our own is amiss: memory, descriptors, the file of authorities, the proxy.
        case ownFault
        /// It led to an address that nothing is sent to; nothing was.
        case refused(EgressRefusal)
        /// The name could not be resolved.
        case nameNotFound
        /// No connection came about.
        case notConnected
        /// TLS failed.
        case tls(TLSFault)
        /// A deadline passed. The request may or may not have been received.
        case timedOut
        /// The connection broke. The request may or may not have been received.
        case connectionLost
        /// What came is no HTTP, or has too long a head.
        case malformed
    }

    /// What TLS failed by.
    public enum TLSFault: String, Sendable, CaseIterable {
        /// The certificate has ended.
        case expired
        /// It is not good yet.
        case notYetValid = "not_yet_valid"
        /// It is another name's.
        case wrongName = "wrong_name"
        /// Nobody believed vouches for it.
        case untrusted
        /// The two could not agree, or the other side gave up.
        case handshake
    }

    /// What went wrong.
    public let code: Code
    /// What libcurl, or we, say about it.
    public let message: String
    /// How long it took until then.
    public let timings: Timings

    init(_ code: Code, _ message: String, _ timings: Timings) {
        self.code = code
        self.message = message
        self.timings = timings
    }

    /// Code and message on one line.
    public var description: String { "\(code): \(message)" }
}
