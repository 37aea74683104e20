// swift-tools-version: 6.2
import PackageDescription

/// What every target is compiled with; continuous integration also turns warnings into errors.
let settings: [SwiftSetting] =
    [
        .enableUpcomingFeature("ExistentialAny"),
        .enableUpcomingFeature("InternalImportsByDefault"),
        .enableUpcomingFeature("MemberImportVisibility"),
        // Exclusive access, and the actor of closures given to the standard library, are checked at run time in debug builds,
        // which the tests run; the compiler has proven the rest. Checking again costs a server that owns all its state on one
        // thread a fifth of its instructions.
        .unsafeFlags(
            [
                "-cross-module-optimization", "-enforce-exclusivity=unchecked", "-Xfrontend",
                "-disable-dynamic-actor-isolation",
            ], .when(configuration: .release)),
    ] + (Context.environment["CI"] == nil ? [] : [.treatAllWarnings(as: .error)])

func system(_ name: String, _ pkgConfig: String, _ debianPackage: String) -> Target {
    .systemLibrary(
        name: name, path: "Sources/System/\(name)", pkgConfig: pkgConfig, providers: [.apt([debianPackage])])
}

/// - Parameter isOptimized: in debug builds, too: every process works through rules and the API's description when it starts,
///   which unoptimised took the tests' many installations most of a second each.
func module(_ name: String, _ dependencies: Target.Dependency..., isOptimized: Bool = false) -> Target {
    .target(
        name: name, dependencies: dependencies, path: "Sources/\(name)",
        swiftSettings: settings + (isOptimized ? [.unsafeFlags(["-O"], .when(configuration: .debug))] : []))
}

func process(
    _ name: String, _ path: String, exclude: [String] = [], _ dependencies: Target.Dependency...
) -> Target {
    .executableTarget(
        name: name, dependencies: dependencies, path: path, exclude: exclude, swiftSettings: settings)
}

func tests(_ name: String, exclude: [String] = [], _ dependencies: Target.Dependency...) -> Target {
    .testTarget(
        name: name, dependencies: dependencies, path: "Tests/\(name)", exclude: exclude, swiftSettings: settings)
}

/// In `Bridge/Migrations`, with `BridgeSchema.swift`, which names them, too.
let migrations: [Resource] = [
    "0001_booking", "0002_booking_engine", "0003_api_keys", "0004_revoked_tokens", "0005_tokens", "0006_catalogue",
    "0007_booking_events", "0008_availability", "0009_front_desk", "0010_pms_writes",
    "0011_pending_reservations", "0012_webhook_endpoints", "0013_webhook_deliveries", "0014_inbound",
    "0015_webhook_replays", "0016_booking_engine_config", "0017_webhook_ownership",
    "0018_outbox_entity",
].map { .embedInCode("\($0).sql") }

let package = Package(
    name: "Drawbridge",
    // Not a part of it: what IntegrationTests load into processes whose clock they set.
    products: [.library(name: "ShiftedClock", type: .dynamic, targets: ["ShiftedClock"])],
    targets: [
        // C libraries, each imported by exactly one module below.
        system("CLibUV", "libuv", "libuv1-dev"),
        system("COpenSSL", "openssl", "libssl-dev"),
        system("CLibPQ", "libpq", "libpq-dev"),
        system("CLibYAML", "yaml-0.1", "libyaml-dev"),
        // Without pkg-config, whose flags for it (-D_FILE_OFFSET_BITS=64) the package manager warns about; it needs none.
        .systemLibrary(name: "CHiredis", path: "Sources/System/CHiredis", providers: [.apt(["libhiredis-dev"])]),
        .systemLibrary(
            name: "CLibCurl", path: "Sources/System/CLibCurl", providers: [.apt(["libcurl4-openssl-dev"])]),
        // What Swift cannot see of Linux and of the processor.
        .systemLibrary(name: "CSwiftConcurrency", path: "Sources/System/CSwiftConcurrency"),
        .systemLibrary(name: "CLinux", path: "Sources/System/CLinux"),
        .systemLibrary(name: "CAtomicCell", path: "Sources/System/CAtomicCell"),
        // The one library with a compiled shim: what Firewall needs of it is C++.
        .target(
            name: "CModSecurity", path: "Sources/System/CModSecurity",
            linkerSettings: [.linkedLibrary("modsecurity"), .linkedLibrary("pcre2-8")]),

        // The ground both processes stand on.
        module("Loop", "CLibUV", "CSwiftConcurrency"),
        module("Telemetry", "Loop"),
        module("Lifecycle", "Loop", "Telemetry", "CLinux"),
        module("Cryptography", "COpenSSL"),
        module("HTTP"),
        module("TLS", "Loop", "COpenSSL"),
        module("JSONText"),
        module("Schema", isOptimized: true),
        module("Server", "Loop", "HTTP", "JSONText", "Telemetry"),
        module("Client", "Loop", "HTTP", "Telemetry"),
        module("Proxy", "Loop", "HTTP", "Server", "Client"),
        module("Egress"),
        module("Fetch", "Loop", "HTTP", "Egress", "CLibCurl"),
        module("Authentication", "Cryptography"),
        module("Ledger", "Cryptography", "JSONText"),
        module("AuditTrail", "Ledger", "Cryptography", "JSONText"),
        module("Audit", "Loop", "HTTP", "Server", "Ledger", "Cryptography", "Lifecycle", "Telemetry"),
        module("Inbound", "Authentication", "Cryptography", "JSONText"),
        module(
            "Policy", "CLibYAML", "HTTP", "TLS", "Authentication", "Schema", "Cryptography", "Egress", "Webhook",
            "Inbound", "JSONText", isOptimized: true),
        module("Postgres", "Loop", "CLibPQ", "Telemetry"),
        module("Firewall", "Loop", "HTTP", "Telemetry", "CModSecurity", isOptimized: true),
        module("RateLimit", "Loop", "Telemetry", "Cryptography", "CHiredis", "CAtomicCell"),

        // The hotel's domain.
        module("Stay"),
        // Apart from Stay, which every process links: it alone needs the whole of Foundation, with ICU.
        module("HotelTime", "Stay"),
        module("Availability", "Stay"),
        module("Booking", "Stay", "JSONText"),
        module("PMS", "Stay", "Availability", "Booking", "Postgres", "Loop"),
        module("Webhook", "Authentication", "Booking", "Cryptography", "Egress", "HTTP", "JSONText"),
        module("Catalogue", "PMS", "Availability", "Stay", "Booking", "JSONText", "Cryptography"),

        .target(name: "BridgeSchema", path: "Bridge/Migrations", resources: migrations, swiftSettings: settings),

        // The installation on one machine: its directory, secrets, private database, demo hotels.
        .target(
            name: "Installation",
            dependencies: [
                "Loop", "Lifecycle", "Policy", "Authentication", "Booking", "Cryptography", "Egress", "Telemetry",
                "Webhook", "Inbound", "BridgeSchema",
            ],
            path: "Sources/Installation",
            resources: [.embedInCode("Demo/demo-pms.sql"), .embedInCode("Demo/demo-data.sql")],
            swiftSettings: settings),

        // The processes.
        process(
            "drawbridge", "Sources/Drawbridge",
            "Loop", "Lifecycle", "Installation", "Policy", "Authentication", "Telemetry", "Firewall", "AuditTrail",
            "JSONText", "Webhook", "Inbound"),
        process(
            "drawbridge-gateway", "Gateway",
            "Loop", "HTTP", "TLS", "JSONText", "Schema", "Server", "Client", "Proxy", "Policy", "RateLimit", "Firewall",
            "Authentication", "Cryptography", "Ledger", "Audit", "Lifecycle", "Telemetry"),
        process(
            "drawbridge-ledger", "Recorder",
            "Loop", "HTTP", "Server", "Client", "Policy", "Cryptography", "Ledger", "Lifecycle", "Telemetry"),
        process(
            "drawbridge-bridge", "Bridge", exclude: ["Migrations"],
            "Loop", "HTTP", "JSONText", "Server", "Client", "Fetch", "Policy", "Authentication", "Cryptography",
            "Postgres", "Lifecycle", "Telemetry", "Stay", "HotelTime", "Availability", "Booking", "PMS", "Catalogue",
            "Webhook", "Inbound", "BridgeSchema"),

        // What `make bench` runs beside its peers.
        process("bench-backend", "Benchmarks/Backend", "Loop"),
        process("bench-server", "Benchmarks/Server", "Loop", "HTTP", "Server"),
        process("bench-proxy", "Benchmarks/Proxy", "Loop", "HTTP", "Server", "Client", "Proxy"),
        process("bench-ledger", "Benchmarks/Ledger", "Loop", "HTTP", "Server", "Ledger", "Audit", "Telemetry"),
        process(
            "bench-changes", "Benchmarks/Changes", "Loop", "HTTP", "Client", "Postgres", "Stay"),
        process("bench-bridge", "Benchmarks/Bridge", "Authentication"),
        process("bench-courier", "Benchmarks/Courier", "Loop", "HTTP", "Egress", "Fetch"),
        process("bench-webhooks", "Benchmarks/Webhooks", "Loop", "HTTP", "Postgres", "Server", "TLS"),
        process("bench-availability", "Benchmarks/Availability", "Availability", "Stay"),

        // Tests, module by module, and what several share.
        .target(
            name: "TestSupport", dependencies: ["HTTP", "Loop", "JSONText", "Schema"], path: "Tests/TestSupport",
            swiftSettings: settings),
        .target(name: "ShiftedClock", path: "Tests/ShiftedClock"),
        tests("LoopTests", "Loop"),
        tests("HTTPTests", "HTTP"),
        tests("TLSTests", "TLS", "Loop"),
        tests("TelemetryTests", "Telemetry", "Loop"),
        tests("ServerTests", "TestSupport", "Server", "HTTP", "Loop", "Telemetry"),
        tests("ClientTests", "TestSupport", "Client", "HTTP", "Loop"),
        tests("EgressTests", "TestSupport", "Egress"),
        tests(
            "FetchTests", exclude: ["Sender", "receiver.py"], "TestSupport", "Fetch", "Egress", "TLS", "HTTP", "Loop",
            "egress-test-sender"),
        // A process to which names lead elsewhere each time it asks, which FetchTests start.
        process("egress-test-sender", "Tests/FetchTests/Sender", "Fetch", "Egress", "HTTP", "Loop", "ChangingNames"),
        .target(name: "ChangingNames", path: "Tests/ChangingNames"),
        tests("ProxyTests", "TestSupport", "Proxy", "Client", "Server", "HTTP", "Loop", "Telemetry"),
        tests("LifecycleTests", "Lifecycle", "Loop"),
        tests("CryptographyTests", "Cryptography"),
        tests("LedgerTests", exclude: ["Writer"], "Ledger", "Cryptography", "ledger-test-writer"),
        tests(
            "AuditTests", "TestSupport", "Audit", "Ledger", "Server", "HTTP", "Loop", "JSONText", "Cryptography",
            "Telemetry",
            "drawbridge-ledger"),
        // A writer that LedgerTests kill.
        process("ledger-test-writer", "Tests/LedgerTests/Writer", "Ledger", "Cryptography"),
        tests("AuthenticationTests", exclude: ["Interop"], "TestSupport", "Authentication", "Cryptography"),
        tests(
            "AuditTrailTests", "AuditTrail", "Ledger", "Cryptography", "JSONText", "Audit", "HTTP", "Server",
            "Telemetry"),
        tests("SchemaTests", "TestSupport", "Schema"),
        tests(
            "PolicyTests", "TestSupport", "Policy", "HTTP", "Authentication", "Cryptography", "Schema", "Booking",
            "Catalogue", "JSONText", "Stay", "Egress", "Inbound"),
        tests("InboundTests", "TestSupport", "Inbound", "Authentication", "JSONText"),
        tests("PostgresTests", "TestSupport", "Postgres", "Loop", "Installation"),
        tests("FirewallTests", "TestSupport", "Firewall", "Loop", "HTTP"),
        tests("RateLimitTests", exclude: ["Hammer"], "TestSupport", "RateLimit", "Loop", "ratelimit-hammer"),
        // What the tests above start several times, to share one table between real processes.
        process("ratelimit-hammer", "Tests/RateLimitTests/Hammer", "RateLimit"),
        tests("PMSTests", "TestSupport", "PMS", "Postgres"),
        tests("StayTests", "Stay"),
        tests("HotelTimeTests", "HotelTime", "Stay"),
        tests("AvailabilityTests", "TestSupport", "Availability", "Stay"),
        tests("BookingTests", "TestSupport", "Booking", "JSONText", "Stay", "HotelTime"),
        tests("CatalogueTests", "Catalogue", "PMS", "Booking", "JSONText", "Stay"),
        tests(
            "WebhookTests", exclude: ["Interop"], "TestSupport", "Webhook", "Booking", "Stay", "JSONText", "Schema",
            "Cryptography"),
        // What every adapter to a PMS must pass, against real ones.
        tests(
            "ConformanceTests", "PMS", "Availability", "Booking", "Stay", "Postgres", "Loop", "Installation"),
        tests(
            "InstallationTests", exclude: ["StandIn"],
            "TestSupport", "Installation", "BridgeSchema", "Lifecycle", "Loop", "Policy", "Cryptography",
            "Authentication",
            "drawbridge"),
        // A subscriber's server that IntegrationTests kill.
        process("webhook-test-receiver", "Tests/IntegrationTests/Receiver", "Loop", "HTTP", "JSONText", "Server"),
        // The real processes, whole; depended upon so that they are built first.
        tests(
            "IntegrationTests", exclude: ["Receiver"],
            "TestSupport", "Loop", "HTTP", "TLS", "JSONText", "Stay", "HotelTime", "Availability", "Booking", "PMS",
            "Postgres", "Cryptography", "Authentication", "drawbridge", "drawbridge-gateway", "drawbridge-bridge",
            "drawbridge-ledger", "Ledger", "Policy", "Schema", "Server", "Webhook", "webhook-test-receiver"),
    ]
)

// Fuzz targets need the instrumented module: `DRAWBRIDGE_FUZZ=1 swift build --product fuzz-http`.
if Context.environment["DRAWBRIDGE_FUZZ"] != nil {
    let fuzzing = ["-sanitize=fuzzer,address", "-parse-as-library"]
    for (module, others) in [("HTTP", []), ("Ledger", []), ("Schema", ["JSONText"])] {
        package.targets.first { $0.name == module }?.swiftSettings? += [.unsafeFlags(fuzzing)]
        package.targets.append(
            .executableTarget(
                name: "fuzz-\(module.lowercased())",
                dependencies: ([module] + others).map { .init(stringLiteral: $0) },
                path: "Tests/FuzzTests/\(module)", exclude: ["Corpus"],
                swiftSettings: settings + [.unsafeFlags(fuzzing)],
                linkerSettings: [.unsafeFlags(["-sanitize=fuzzer,address"])]))
    }
}
