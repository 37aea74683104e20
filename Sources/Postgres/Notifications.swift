/// What NOTIFY sent.
public struct Notification: Sendable, Equatable {
    public let channel: String
    public let payload: String
}
