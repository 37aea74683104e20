public import Authentication

/// The tokens that this installation issues itself: `own` in `Policies/issuers.yaml`. The bridge makes them, and the gateways
/// believe them by keys that the bridge tells them.
public struct OwnTokenPolicy: Sendable, Equatable {
    /// The longest that an access token may be told to live.
    public static let longestAccessToken = Duration.seconds(3600)
    /// How long a key stays published after the last token that it signed, in seconds: as long as any such token may live, the
    /// clocks' difference, and the time that a bridge may take to learn that it signs no more.
    public static let keyOverlapInSeconds: Int64 = 3600 + 300
    /// How long whoever has asked for the published keys may keep them, in seconds; each is published for longer before it
    /// signs.
    public static let keySetMaximumAgeInSeconds = 300

    /// The tokens' `iss`.
    public var issuer = Identity.ownNamespace + "tokens"
    /// Their `aud`.
    public var audience = "drawbridge"
    /// How many whole seconds the clocks of several machines may differ.
    public var clockSkewInSeconds: Int64 = 5
    /// How long an access token lives.
    public var accessToken = Duration.seconds(900)
    /// How long a refresh token is good unless it is used.
    public var refreshTokenIdle = Duration.seconds(14 * 86_400)
    /// How long refresh tokens may follow one another.
    public var refreshTokenLife = Duration.seconds(90 * 86_400)
    /// Of how many families of refresh tokens an API key may have at once; with one more the one that was not used for longest ends.
    public var familiesPerKey = 100
    /// How long it is remembered that a family has ended.
    public var endedFamiliesKept = Duration.seconds(7 * 86_400)
    /// How long API keys that are revoked or expired stay in the list.
    public var endedKeysKept = Duration.seconds(400 * 86_400)
    /// How long a key signs tokens.
    public var keyRotation = Duration.seconds(30 * 86_400)
    /// How long a key is published before it signs.
    public var keyLead = Duration.seconds(86_400)
    /// The file of the key under which the signing keys are stored; absolute.
    public var masterKeyFile: String

    init(_ installation: InstallationDirectory) { masterKeyFile = installation.path(MasterKey.standardFile) }

    init(reading mapping: PolicyMapping, installation: InstallationDirectory) {
        self.init(installation)
        let (minute, hour, day) = (Duration.seconds(60), Duration.seconds(3600), Duration.seconds(86_400))
        issuer = mapping.text("issuer", default: issuer)
        audience = mapping.text("audience", default: audience)
        clockSkewInSeconds = TrustedIssuer.clockSkew(mapping)
        accessToken = mapping.duration("access_token", in: minute...Self.longestAccessToken, default: accessToken)
        refreshTokenIdle = mapping.duration("refresh_token_idle", in: hour...day * 366, default: refreshTokenIdle)
        refreshTokenLife = mapping.duration("refresh_token_life", in: hour...day * 366, default: refreshTokenLife)
        familiesPerKey = mapping.integer("families_per_key", in: 1...10_000, default: familiesPerKey)
        endedFamiliesKept = mapping.duration("ended_families_kept", in: hour...day * 366, default: endedFamiliesKept)
        endedKeysKept = mapping.duration("ended_keys_kept", in: day...day * 3660, default: endedKeysKept)
        keyRotation = mapping.duration("key_rotation", in: hour...day * 366, default: keyRotation)
        keyLead = mapping.duration("key_lead", in: minute * 10...day * 30, default: keyLead)
        if keyLead >= keyRotation, let node = mapping.optional("key_lead") ?? mapping.optional("key_rotation") {
            node.refuse(expected: "a key_lead shorter than key_rotation")
        }
        masterKeyFile = installation.path(mapping.text("master_key", default: MasterKey.standardFile))
    }

    /// What the gateways need to know of them.
    public var trustedIssuer: TrustedIssuer {
        TrustedIssuer(
            issuer: issuer, audience: audience, clockSkewInSeconds: clockSkewInSeconds, tokenType: AccessToken.type,
            keys: [], keySetAlgorithms: [.es256], vouchesFor: Identity.ownClients, familyClaim: AccessToken.familyClaim)
    }

    /// How signing keys follow one another.
    public var keyTerms: SigningKeySchedule.Terms {
        SigningKeySchedule.Terms(
            rotation: keyRotation.components.seconds, lead: keyLead.components.seconds,
            overlap: Self.keyOverlapInSeconds)
    }
}
