/// What a bridge process does.
enum BridgeRole: String {
    /// Answers gateways.
    case api
    /// Delivers webhooks.
    case dispatcher
    /// Both.
    case all
}
