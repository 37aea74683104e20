/// Why a message is refused. The connection it came on cannot be trusted to be in step any more and must be closed.
public struct MessageError: Error, Sendable, Equatable {
    /// What the peer did, as constant text that is safe to log and to send back.
    public let reason: Reason
    /// What to answer: for a request the status RFC 9110 or 9112 gives, for a response always 502.
    public let status: Status

    init(_ reason: Reason) {
        self.reason = reason
        status = reason.status
    }

    /// The same mistake made by an upstream.
    var inResponse: MessageError { MessageError(reason: reason, status: .badGateway) }

    private init(reason: Reason, status: Status) {
        self.reason = reason
        self.status = status
    }

    /// The rule that was broken; the raw value says it in English.
    public enum Reason: String, Sendable, CaseIterable {
        case malformedRequestLine = "The request line is not method, target and version with one space between"
        case invalidMethod = "The method is not a token"
        case unknownMethod = "The method is not implemented"
        case invalidTarget = "The request target is not valid"
        case startLineTooLong = "The first line is too long"
        case invalidVersion = "The HTTP version is malformed"
        case unsupportedVersion = "The HTTP version is not supported"
        case bareLineFeed = "A line feed stands without a carriage return"
        case bareCarriageReturn = "A carriage return stands without a line feed"
        case controlCharacter = "A line holds a control character"
        case lineFolding = "A field line starts with white space"
        case spaceBeforeColon = "A field name is followed by white space"
        case invalidFieldName = "A field name is not a token followed by a colon"
        case fieldLineTooLong = "A field line is too long"
        case fieldSectionTooLarge = "The fields are too large"
        case tooManyFields = "There are too many fields"
        case missingHost = "The Host field is missing"
        case repeatedHost = "The Host field is repeated"
        case invalidHost = "The host is not valid"
        case repeatedContentLength = "The Content-Length field is repeated"
        case invalidContentLength = "The Content-Length field is not a number"
        case contentLengthWithTransferEncoding = "Content-Length and Transfer-Encoding stand together"
        case transferEncodingInHTTP10 = "Transfer-Encoding is not part of HTTP/1.0"
        case invalidTransferEncoding = "The Transfer-Encoding field is not one final chunked"
        case unknownTransferCoding = "The transfer coding is not implemented"
        case invalidConnection = "The Connection field is not a short list of options"
        case unsupportedExpectation = "The expectation is not supported"
        case bodyTooLarge = "The content is too large"
        case invalidChunkSize = "A chunk size is not a hexadecimal number within 64 bits"
        case chunkLineTooLong = "A chunk-size line is too long"
        case chunkExtensionsTooLarge = "The chunk extensions are too large"
        case missingChunkEnd = "A chunk is not followed by CR LF"
        case forbiddenTrailer = "A field that is not allowed in trailers stands there"
        case trailerSectionTooLarge = "The trailers are too large"
        case malformedStatusLine = "The status line is malformed"
        case switchingProtocols = "The upstream switched protocols unasked"
        case tooManyInterimResponses = "There are too many interim responses"
        case contentForbidden = "A response that cannot have content announces some"
        case unsolicitedResponse = "Bytes came from the upstream without a request"
        case truncated = "The message ends early"

        var status: Status {
            switch self {
            case .bodyTooLarge: .contentTooLarge
            case .startLineTooLong: .uriTooLong
            case .unsupportedExpectation: .expectationFailed
            case .fieldLineTooLong, .fieldSectionTooLarge, .tooManyFields, .trailerSectionTooLarge:
                .requestHeaderFieldsTooLarge
            case .unknownMethod, .unknownTransferCoding: .notImplemented
            case .unsupportedVersion: .httpVersionNotSupported
            default: .badRequest
            }
        }
    }
}
