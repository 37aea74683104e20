/// The operations that the bridge implements, by the names that `openapi.yaml` gives them. The bridge has an answer for
/// each, which its compiler sees to; the description forwards no other.
public enum Operation: String, Sendable, CaseIterable {
    case listHotels, getHotel, listRoomTypes, listPlans, listAmenities, listImages, setImages, getPricing
    case getRestrictions, setRestrictions
    case getAvailability, createBooking, listBookings, getBooking, changeBooking, cancelBooking
    case updateHotels, updateRoomTypes, refreshAvailability, getCacheStatus, getCacheTrigger
    case issueToken, refreshToken, validateToken, getTokenUser, getSigningKeys
    case createAPIKey, listAPIKeys, rotateAPIKey, revokeAPIKey
    case listDeadLetters, getDeadLetter, retryDeadLetter, abandonDeadLetter
    case listEventTypes, subscribeWebhook, listWebhooks, getWebhook, changeWebhook, removeWebhook
    case rotateWebhookSecret, enableWebhook, testWebhook, replayWebhook, getReplay
    case receiveInbound, listInbound, getInbound, retryInbound
    case listDeliveries, getDelivery, retryDelivery, abandonDelivery
    case listWebhookDeadLetters, retryWebhookDeadLetters

    /// Their names.
    public static var names: [String] { allCases.map(\.rawValue) }
}
