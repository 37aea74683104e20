/// The bridge's own tables, by the migrations that make them: the bridge applies these, `drawbridge doctor` compares what was
/// applied with them.
public enum BridgeSchema {
    /// In the order in which they came to be. A file that was released is never changed again. (A leading digit of a resource
    /// file becomes an underscore in the generated name.)
    public static let migrations: [(number: Int32, name: String, sql: [UInt8])] = [
        (1, "booking", PackageResources._001_booking_sql),
        (2, "booking_engine", PackageResources._002_booking_engine_sql),
        (3, "api_keys", PackageResources._003_api_keys_sql),
        (4, "revoked_tokens", PackageResources._004_revoked_tokens_sql),
        (5, "tokens", PackageResources._005_tokens_sql),
        (6, "catalogue", PackageResources._006_catalogue_sql),
        (7, "booking_events", PackageResources._007_booking_events_sql),
        (8, "availability", PackageResources._008_availability_sql),
        (9, "front_desk", PackageResources._009_front_desk_sql),
        (10, "pms_writes", PackageResources._010_pms_writes_sql),
        (11, "pending_reservations", PackageResources._011_pending_reservations_sql),
        (12, "webhook_endpoints", PackageResources._012_webhook_endpoints_sql),
        (13, "webhook_deliveries", PackageResources._013_webhook_deliveries_sql),
        (14, "inbound", PackageResources._014_inbound_sql),
        (15, "webhook_replays", PackageResources._015_webhook_replays_sql),
        (16, "booking_engine_config", PackageResources._016_booking_engine_config_sql),
        (17, "webhook_ownership", PackageResources._017_webhook_ownership_sql),
        (18, "outbox_entity", PackageResources._018_outbox_entity_sql),
    ]
}
