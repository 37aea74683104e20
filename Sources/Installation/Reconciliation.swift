internal import Glibc
internal import Lifecycle
public import Loop

/// Has the bridge's program compare bookings with the PMS, beside the bridges that run.
@OnLoop
public enum Reconciliation {
    /// - Parameters:
    ///   - config: the policies' directory; nil for the one that the installation remembers.
    ///   - hotel: nil for all.
    /// - Returns: how the program ended: 0 where nothing differs, 2 where something does; and what it said.
    /// - Throws: `InstallationError` where there is no database.
    public static func run(
        _ home: Home, config: String?, hotel: Int32?, repairs: Bool, _ settings: Settings, _ tools: Tools
    ) async throws -> Tools.Result {
        guard let url = try Database.url(of: home, settings) else { throw Database.isMissing }
        guard let directory = Programs.directory else { throw File.failure("/proc/self/exe") }
        var command = ["\(directory)/drawbridge-bridge", "--reconcile", "--home", home.path]
        command += ["--config", try PolicyLocation.find(config, home: home)]
        if let hotel { command += ["--hotel", String(hotel)] }
        if repairs { command.append("--repair") }
        return try await tools.run(
            command,
            environment: Programs.databases(url, settings.pmsDatabaseURL)
                .merging([Lifecycle.supervisorVariable: String(getpid())]) { $1 })
    }
}
