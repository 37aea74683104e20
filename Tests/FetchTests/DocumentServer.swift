import Glibc
import Loop
import TLS
import TestSupport
import Testing

/// An HTTPS server on a free port that answers by path, with a certificate made for it, or a plain one.
@OnLoop
final class DocumentServer {
    let port: UInt16
    let certificate: String
    private let directory: String
    private let listener: Listener
    private var running: Task<Void, Never>?

    /// - Parameter answers: whole answers by path; no answer at all for any other.
    init(secure: Bool = true, _ answers: [String: String]) async throws {
        directory = "/tmp/fetch-test-\(UInt64.random(in: 0 ... .max))"
        mkdir(directory, 0o700)
        certificate = "\(directory)/certificate.pem"
        let child = try ChildProcess(
            "/usr/bin/openssl",
            [
                "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                "-subj", "/CN=fetch", "-addext", "subjectAltName=DNS:localhost", "-keyout", "\(directory)/key.pem",
                "-out", certificate,
            ], environment: ["PATH": "/usr/bin:/bin"], descriptors: [.null, .null, .null])
        try #require(try await child.waitForExit().isSuccess)
        let context =
            secure
            ? try TLSServerContext(.init(certificateChainPath: certificate, keyPath: "\(directory)/key.pem")) : nil
        let socket = try ListeningSocket(address: "127.0.0.1", port: 0)
        port = socket.port
        let listener = try Listener(socket)
        self.listener = listener
        running = Task {
            await withDiscardingTaskGroup { group in
                while let stream = try? await listener.next() {
                    group.addTask { try? await Self.answer(stream, context, answers) }
                }
                group.cancelAll()
            }
        }
    }

    func stop() async {
        listener.close()
        await running?.value
        for name in ["certificate.pem", "key.pem"] { unlink("\(directory)/\(name)") }
        rmdir(directory)
    }

    private static func answer(_ stream: Stream, _ context: TLSServerContext?, _ answers: [String: String]) async throws
    {
        defer { stream.close() }
        stream.security = try context?.makeSession()
        var request = ""
        while !request.hasSuffix("\r\n\r\n") {
            guard try await stream.fill() else { return }
            request += stream.withReadable { span in
                span.withUnsafeBufferPointer { String(decoding: $0, as: UTF8.self) }
            }
            stream.consume(stream.readableCount)
        }
        let path = String(request.split(separator: " ")[1])
        guard let answer = answers[path] else { return try await Loop.sleep(for: .seconds(60)) }
        try await stream.write(Array(answer.utf8))
    }
}

/// A whole answer.
func answer(_ content: String, status: String = "200 OK", _ fields: String...) -> String {
    let lines = ["HTTP/1.1 \(status)", "Content-Length: \(content.utf8.count)", "Connection: close"] + fields
    return lines.joined(separator: "\r\n") + "\r\n\r\n" + content
}
