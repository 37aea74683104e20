/// `postgresql.conf` and `pg_hba.conf` of the private cluster; written anew at every start.
struct ClusterSettings {
    let socketDirectory: String

    /// Who may connect: one role, to one database, by the socket, with its password.
    static let access = """
        # Written by drawbridge at every start.
        local drawbridge drawbridge scram-sha-256

        """

    var text: String {
        """
        # Written by drawbridge at every start.
        listen_addresses = ''
        unix_socket_directories = '\(quoted(socketDirectory))'
        unix_socket_permissions = 0777 # the password decides
        password_encryption = 'scram-sha-256'
        max_connections = 100
        # Commits that take effect in the PMS's database, too, where that is another one.
        max_prepared_transactions = 100

        # For a small machine that also runs everything else.
        shared_buffers = 256MB
        effective_cache_size = 1GB
        work_mem = 8MB
        maintenance_work_mem = 64MB
        max_wal_size = 2GB
        # Nobody follows this server. A new table is then logged or synced when its transaction ends, and not index by
        # index: a thousand demo hotels, whose partitions have tens of thousands of files, load in two thirds of the time.
        wal_level = minimal
        max_wal_senders = 0
        checkpoint_completion_target = 0.9
        random_page_cost = 1.1
        jit = off # statements here are short
        max_locks_per_transaction = 256 # a hotel has a partition of many tables
        # Once a minute many tables are vacuumed and analysed one after the other. At a quarter of the usual pace (100 MB/s from
        # the disk still) that does not take a core for a third of a second from those who wait for an answer.
        autovacuum_vacuum_cost_limit = 50

        # What is acknowledged is on disk.
        fsync = on
        synchronous_commit = on
        full_page_writes = on

        logging_collector = off # it would outlive the server
        log_line_prefix = '%m [%p] %q%u '
        log_timezone = 'UTC'
        timezone = 'UTC'
        datestyle = 'iso, ymd'
        lc_messages = 'C'

        """
    }

    private func quoted(_ text: String) -> String {
        text.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "''")
    }
}
