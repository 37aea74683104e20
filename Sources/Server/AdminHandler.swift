internal import HTTP
public import Loop
internal import Telemetry

/// Answers on a process's private listener: `/healthz`, `/readyz`, `/metrics`.
@OnLoop
public final class AdminHandler: Handler {
    /// Why the process cannot do its work now; nil while it can.
    public typealias Readiness = @OnLoop () async -> String?

    private let unreadiness: Readiness
    private let metrics: @OnLoop () async -> [UInt8]

    /// - Parameters:
    ///   - unreadiness: asked for each `/readyz`.
    ///   - metrics: the answer to `/metrics`; nil for this process's own.
    public init(unreadiness: @escaping Readiness, metrics: (@OnLoop () async -> [UInt8])? = nil) {
        self.unreadiness = unreadiness
        self.metrics = metrics ?? { Metrics.render() }
    }

    public func respond(to request: Request, _ writer: consuming ResponseWriter) async throws {
        guard request.head.method == .get || request.head.method == .head else {
            throw Problem(.methodNotAllowed, "method-not-allowed", "Only GET is allowed here").with(.allow, "GET, HEAD")
        }
        switch request.head.target.path {
        case "/healthz": writer.send(.ok, Self.plain, content: Array("ok\n".utf8))
        case "/readyz":
            if let reason = await unreadiness() {
                throw Problem(.serviceUnavailable, "not-ready", "The process is not ready", detail: reason)
                    .with(.retryAfter, "1")
            }
            writer.send(.ok, Self.plain, content: Array("ready\n".utf8))
        case "/metrics":
            var fields = Fields()
            fields.append(.contentType, "text/plain; version=0.0.4; charset=utf-8")
            writer.send(.ok, fields, content: await metrics())
        default: throw Problem(.notFound, "not-found", "There is nothing here")
        }
    }

    private static let plain: Fields = {
        var fields = Fields()
        fields.append(.contentType, "text/plain; charset=utf-8")
        fields.append(.cacheControl, "no-store")
        return fields
    }()
}
