/// How a delivery stands; the words of `drawbridge.webhook_delivery_states`.
public enum DeliveryState: String, Sendable, CaseIterable {
    /// A dispatcher has it in its hands.
    case sending
    /// It is sent when it is due, or when its endpoint has room.
    case waiting
    /// Nobody sends it, until somebody decides.
    case dead
    /// An attempt has succeeded.
    case delivered
    /// Somebody has given it up.
    case abandoned
}

/// Why a delivery is a dead letter.
public enum DeadLetterReason: String, Sendable, CaseIterable {
    /// It was tried as often as its endpoint asks for.
    case exhausted
    /// Its endpoint was sent nothing.
    case endpointDisabled = "endpoint_disabled"
}

/// The event by which an endpoint is tried out: `{"type","timestamp","data":{"endpoint_id","hotel_id","version"}}`. Nobody can
/// subscribe to it, so it is no ``EventType``.
public enum TestEvent {
    /// Its type.
    public static let type = "endpoint.test"
}
