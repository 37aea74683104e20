import Egress
import Fetch
import HTTP
import Loop
import TLS
import TestSupport
import Testing

/// A receiver with a certificate on this machine, and a courier that may send there.
@OnLoop
final class Trial {
    let certificates: Certificates
    let receiver: FakeUpstream
    let courier: Courier
    /// Lets this machine be reached.
    let egressGuard: EgressGuard
    let destination: Destination

    /// - Parameters:
    ///   - certificate: what the receiver shows.
    ///   - change: other terms.
    ///   - script: what the receiver does with each connection, after TLS.
    init(
        certificate: String = "good", _ change: (inout SendingTerms) -> Void = { _ in },
        script: @escaping FakeUpstream.Script
    ) async throws {
        let certificates = try await Certificates()
        let context = try TLSServerContext(
            .init(certificateChainPath: certificates.path(certificate), keyPath: certificates.key(certificate)))
        receiver = try FakeUpstream { connection in
            connection.stream.security = try context.makeSession()
            try await script(connection)
        }
        self.certificates = certificates
        egressGuard = Self.guardOfThisMachine()
        var terms = SendingTerms()
        terms.connectionsPerHost = 8
        terms.authoritiesFile = certificates.authorities
        change(&terms)
        courier = Courier(egressGuard, terms)
        destination = try egressGuard.destination("https://localhost:\(receiver.port)/hook")
    }

    static func guardOfThisMachine() -> EgressGuard {
        var egressGuard = EgressGuard()
        egressGuard.allowsPlain = true
        egressGuard.allowed = AllowList(["127.0.0.0/8", "::1"])!
        return egressGuard
    }

    /// What sending comes to.
    func send(
        _ body: String = "hello", fields: [(String, String)] = [], deadline: Duration? = nil
    ) async throws -> Result<Reply, SendError> {
        var all = Fields()
        for (name, value) in fields { all.append(name, value) }
        do {
            let reply = try await courier.send(Array(body.utf8), to: destination, fields: all, deadline: deadline)
            return .success(reply)
        } catch let error as SendError { return .failure(error) }
    }

    /// Expects a request to be answered with a status.
    func expect(
        _ status: Int, body: String = "hello", sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        let reply = try await send(body).get()
        #expect(reply.status == status, sourceLocation: sourceLocation)
    }

    /// Expects a request not to be answered.
    func expect(_ expected: SendError.Code, sourceLocation: SourceLocation = #_sourceLocation) async throws {
        let result = try await send()
        #expect(code(result) == expected, "\(result)", sourceLocation: sourceLocation)
    }

    func stop() async {
        courier.close()
        await receiver.stop()
        certificates.remove()
    }

    /// Runs a trial to its end.
    static func run(
        certificate: String = "good", _ change: (inout SendingTerms) -> Void = { _ in },
        script: @escaping FakeUpstream.Script, _ body: @OnLoop (Trial) async throws -> Void
    ) async throws {
        let trial = try await Trial(certificate: certificate, change, script: script)
        do {
            try await body(trial)
        } catch {
            await trial.stop()
            throw error
        }
        await trial.stop()
    }
}

extension FakeUpstream {
    var port: UInt16 {
        guard case .tcp(_, let port) = endpoint else { return 0 }
        return port
    }
}

extension FakeConnection {
    /// Reads a request with the content `hello`.
    func receiveHello() async throws -> String { try await receive(endingIn: "\r\n\r\nhello") }
}

/// The code of the error that a result is.
func code(_ result: Result<Reply, SendError>) -> SendError.Code? {
    if case .failure(let error) = result { error.code } else { nil }
}
