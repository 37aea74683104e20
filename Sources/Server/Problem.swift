public import HTTP
public import JSONText

/// An answer that says what went wrong, as `application/problem+json` (RFC 9457).
///
/// It is also the error that handlers throw: the server sends it when no answer has begun. Texts go to strangers, so
/// they hold nothing of SQL, paths, stacks or secrets.
public struct Problem: Error, Sendable {
    /// One mistake in a request's content.
    public struct FieldError: Sendable, Equatable {
        /// Where, as a JSON pointer (RFC 6901).
        public var pointer: String
        /// What is wrong, for a developer.
        public var detail: String

        public init(pointer: String, detail: String) {
            self.pointer = pointer
            self.detail = detail
        }
    }

    /// The answer's status.
    public var status: Status

    /// The kind of problem: the last segment of its `type` URI, such as `no-availability`, or the whole of somebody
    /// else's.
    public var type: String

    /// The kind in words, the same for every occurrence.
    public var title: String

    /// This occurrence, for a developer.
    public var detail: String

    /// What stands under `error`, where clients expect a code there, as those of OAuth do; otherwise it is `detail`.
    public var errorCode: String?

    /// The mistakes in the request's content, if it is about those.
    public var errors: [FieldError] = []

    /// Writes further members.
    public var extend: (@Sendable (inout JSONWriter) -> Void)?

    /// Fields of the answer, such as `Allow` or `Retry-After`.
    public var fields = Fields()

    /// Whether the connection cannot be used again.
    public var closesConnection = false

    public init(_ status: Status, _ type: String, _ title: String, detail: String? = nil) {
        self.status = status
        self.type = type
        self.title = title
        self.detail = detail ?? title
    }

    /// The same problem with one more field in the answer's head.
    public func with(_ name: FieldName, _ value: String) -> Problem {
        var problem = self
        problem.fields.append(name, value)
        return problem
    }

    /// What the problem types' URIs start with.
    public static let typePrefix = "https://drawbridge.dev/problems/"

    /// The content of the answer.
    ///
    /// - Parameter instance: the id of the request it answers.
    public func json(instance: RequestID) -> [UInt8] {
        var json = JSONWriter()
        json.object { json in
            json.member("type", type.contains(":") ? type : Problem.typePrefix + type)
            json.member("title", title)
            json.member("status", Int(status.rawValue))
            json.member("detail", detail)
            json.member("instance", instance.description)
            // The plain message that the existing clients read.
            json.member("error", errorCode ?? detail)
            if errorCode != nil { json.member("error_description", detail) }
            if !errors.isEmpty {
                json.array("errors", errors) { json, error in
                    json.object { json in
                        json.member("pointer", error.pointer)
                        json.member("detail", error.detail)
                    }
                }
            }
            extend?(&json)
        }
        return json.bytes
    }
}

extension Problem {
    /// The request breaks HTTP or one of the server's bounds; nothing more is read from its connection.
    init(_ error: MessageError) {
        self.init(
            error.status, "malformed-request", "The request is not acceptable HTTP", detail: error.reason.rawValue)
        closesConnection = true
    }
}
