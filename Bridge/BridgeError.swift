internal import Authentication
internal import HTTP
internal import Webhook

/// Why the bridge does not do what it was asked.
enum BridgeError: Error {
    case unknownPath
    case methodNotAllowed([Method])
    case unknownHotel
    case foreignHotel
    /// What was known to be free at the hotel is too old to be told.
    case outdatedHotel
    /// What the PMS has of the hotel cannot be read; in so many seconds it is tried again.
    case unreadableHotel(retryAfter: Int)
    case unknownBooking
    case unknownTrigger
    /// An attempt may have taken effect, and it could not be found out in time.
    case outcomeUnknown
    case unknownDeadLetter
    /// The write into the PMS is no dead letter, as this status says.
    case noDeadLetter(String)
    /// What a trigger asked for could not be read anew.
    case refreshFailed(trigger: Int64, reason: String)
    /// Parameters that cannot be read.
    case malformed([(pointer: String, detail: String)])
    /// Values that can be read and are not possible.
    case invalid([(pointer: String, detail: String)])
    case invalidIdempotencyKey
    case keyUsedOtherwise
    case requestUnderWay
    /// Another client of the hotel has used the `booking_engine_id`.
    case engineIDTaken
    /// The booking has ended, as this status says.
    case bookingEnded(String)
    /// The stay has begun.
    case bookingStarted
    /// Somebody at the front desk works on the booking.
    case bookingInUse
    /// Another client has made it.
    case foreignBooking
    /// `If-Match` is missing where it is required.
    case preconditionRequired
    /// What is to be changed is not the version that `If-Match` names.
    case preconditionFailed
    /// What was brought for a token is not worth one.
    case grantRefused(OAuthError, String, IssuedCredential? = nil)
    /// Tokens cannot be signed at the moment.
    case signingUnavailable
    /// Which tokens are revoked is not known at the moment.
    case revocationsUnknown
    /// The request was carried out before, and its answer held a secret; what it made, and what was taken from whoever has
    /// that answer.
    case answerNotKept(RequestProduct?, IssuedCredential? = nil)
    /// What the client has sent does not prove, or not any more, what the gateway says of it.
    case credentialsUnproven
    case unknownUser
    case unknownAPIKey
    /// Scopes are to be given that the giver has not.
    case exceedsRights
    /// The client belongs to other hotels, too.
    case foreignClient
    /// There are as many API keys as gateways hold, or as a hotel's own administrators may make it.
    case tooManyKeys(Int, ofHotel: Bool)
    case unknownWebhook
    /// Events tell what takes these scopes to read, which the credentials have not.
    case unreadableEvents([Scope])
    /// The client has as many endpoints as one may have.
    case tooManyWebhooks
    /// The endpoint has as many secrets that are still good as one may have.
    case tooManySecrets
    /// Secrets cannot be stored at the moment.
    case sealingUnavailable
    /// A gateway goes by other policies than this bridge, for a moment.
    case unknownSource
    case unknownMessage
    /// The message has not ended without being done, as this status says.
    case notRetried(String)
    case unknownDelivery
    /// An attempt is under way, whose outcome decides.
    case deliveryUnderWay
    /// The delivery has succeeded: there is nothing to give up.
    case deliveryEnded
    /// It was tried as often as anything is.
    case tooManyAttempts
    /// The event of a delivery is not kept any more.
    case eventNotKept
    /// The endpoint is sent nothing.
    case webhookDisabled(EndpointID)
    /// The endpoint has not met its challenge, for this reason.
    case webhookUnverified(String)
    case unknownReplay
    /// The endpoint is being sent the past already.
    case replayUnderWay
}

/// The words of RFC 6749 §5.2.
enum OAuthError: String {
    case invalidGrant = "invalid_grant"
    case invalidScope = "invalid_scope"
    case unsupportedGrantType = "unsupported_grant_type"

    /// The kind of problem.
    var type: String { rawValue.replacing("_", with: "-") }
}
