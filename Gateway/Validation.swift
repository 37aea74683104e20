internal import HTTP
internal import Loop
internal import Policy
internal import Schema
internal import Server

/// Compares a request with what its route describes.
@OnLoop
enum Validation {
    /// - Returns: what of the content anything can be said in, for the firewall: its free text where it is described, and
    ///   otherwise all of it.
    /// - Throws: `Refusal`, with everything that is wrong in the first part of the request that is not as described.
    static func check(_ request: Request, _ match: RouteMatch, _ content: Content) throws -> [UInt8] {
        let description = match.route.request
        try checkPath(request, match, description.path)
        let query = description.query.violations(in: request.head.target.queryBytes ?? [])
        guard query.isEmpty else { throw Refusal.malformedRequest(query) }
        for field in description.fields { try check(request.head.fields, field) }
        guard let schema = description.content else { return content.bytes }
        return try check(content, schema, isRequired: description.isContentRequired)
    }

    /// An id that nothing can have names nothing.
    private static func checkPath(_ request: Request, _ match: RouteMatch, _ parameters: [Parameter]) throws {
        guard !parameters.isEmpty else { return }
        let path = request.head.target.pathBytes
        for parameter in parameters {
            guard let range = match.range(of: parameter.name) else { continue }
            let value = path[path.startIndex + range.lowerBound..<path.startIndex + range.upperBound]
            guard parameter.violations(in: value, at: "").isEmpty else {
                throw match.route.terms.hotel == .path(parameter: parameter.name)
                    ? Refusal.unknownHotel : Refusal.unknownPath
            }
        }
    }

    private static func check(_ fields: Fields, _ parameter: Parameter) throws {
        let count = fields.count(of: parameter.name)
        guard count > 0 || parameter.isRequired else { return }
        let pointer = "/header/\(parameter.name)"
        guard count < 2 else {
            throw Refusal.invalidField(
                parameter.name, [Violation(pointer: pointer, detail: "The field is repeated")])
        }
        let values = fields.bytes(of: parameter.name).map { [$0] } ?? []
        let violations = parameter.violations(in: values, at: pointer)
        guard violations.isEmpty else { throw Refusal.invalidField(parameter.name, violations) }
    }

    private static func check(_ content: Content, _ schema: Schema, isRequired: Bool) throws -> [UInt8] {
        guard let document = content.document else {
            guard content.bytes.isEmpty, !isRequired else { throw Refusal.malformedJSON(nil) }
            return []
        }
        do throws(InvalidDocument) { return try schema.validate(document).freeText } catch {
            throw Refusal.invalidContent(error.violations)
        }
    }
}

/// A request's content, read once.
struct Content: Sendable {
    /// As it was sent.
    let bytes: [UInt8]
    /// What it says, where it is described as JSON.
    let document: JSONDocument?

    /// None.
    static let none = Content(bytes: [], document: nil)

    private init(bytes: [UInt8], document: JSONDocument?) {
        self.bytes = bytes
        self.document = document
    }

    /// - Throws: `Refusal` when it is described as JSON and is none.
    init(_ bytes: [UInt8], isJSON: Bool) throws {
        self.bytes = bytes
        guard isJSON else {
            document = nil
            return
        }
        do throws(JSONDocumentError) { document = try JSONDocument(parsing: bytes) } catch {
            throw Refusal.malformedJSON(error)
        }
    }
}
