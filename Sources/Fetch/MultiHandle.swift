internal import CLibCurl
internal import Loop

/// libcurl's many transfers at once, driven by the loop: it says which sockets it waits for and until when, and is told
/// what has happened (`curl_multi_socket_action`).
///
/// Nothing of it waits. Names are resolved by libcurl's own threads, one for each transfer that asks for one: no more than there
/// are transfers, and those of transfers given up meanwhile, which end when the system's resolver gives up (resolv.conf(5):
/// ten seconds for each name server, unless told otherwise). As only one transfer at a time goes to a host that has not been
/// connected to (`SendingQueue`), that is a handful for each host. `close` it before letting go of it.
@OnLoop
final class MultiHandle {
    private let pointer: UnsafeMutableRawPointer
    private var sockets: [Int32: WatchedSocket] = [:]
    /// Whether an attempt to connect has ended without a connection since libcurl was last called.
    ///
    /// libcurl (7.88) then only notes that the name has another address, and opens it when it looks at the transfer next: which
    /// nothing but half of the connect deadline makes it do. Which transfer it was it does not say, so it has to look at all.
    private var hasFailedToConnect = false
    /// Who was sent last on each connection that takes one request at a time.
    private var users: [OpaquePointer: Transfer] = [:]
    private var timer: Deadline?
    private let onEnd: @OnLoop (UnsafeMutableRawPointer, CURLcode) -> Void

    /// - Parameters:
    ///   - connections: how many there may be, those that are idle included; and how many transfers there are at most, or
    ///     libcurl would let some wait.
    ///   - onEnd: called with the handle of each transfer that has ended, which is no longer part of this.
    init(connections: Int, onEnd: @escaping @OnLoop (UnsafeMutableRawPointer, CURLcode) -> Void) {
        guard CurlLibrary.isUsable, let pointer = curl_multi_init() else {
            preconditionFailure("libcurl cannot be used")
        }
        self.pointer = pointer
        self.onEnd = onEnd
        timer = Deadline { [weak self] in self?.act(CURL_SOCKET_TIMEOUT, 0) }
        // A new one takes the place of that which has been idle longest. As there are no more transfers, one of them is idle.
        set(CURLMOPT_MAX_TOTAL_CONNECTIONS, connections)
        set(CURLMOPT_MAXCONNECTS, connections)
        let status = drawbridge_curl_multi_set_callbacks(
            pointer,
            { _, socket, wanted, context, _ in
                let multi = Unmanaged<MultiHandle>.fromOpaque(context!).takeUnretainedValue()
                OnLoop.assumeIsolated { multi.watch(socket, wanted) }
                return 0
            },
            { _, milliseconds, context in
                let multi = Unmanaged<MultiHandle>.fromOpaque(context!).takeUnretainedValue()
                OnLoop.assumeIsolated { multi.wait(milliseconds) }
                return 0
            }, Unmanaged.passUnretained(self).toOpaque())
        precondition(status == CURLM_OK, "libcurl without an option")
    }

    private func set(_ option: CURLMoption, _ value: Int) {
        precondition(drawbridge_curl_multi_set_number(pointer, option, value) == CURLM_OK, "libcurl without an option")
    }

    /// Begins a transfer.
    func add(_ handle: UnsafeMutableRawPointer) {
        precondition(timer != nil, "closed")
        precondition(curl_multi_add_handle(pointer, handle) == CURLM_OK, "the transfer is under way")
    }

    /// Notes a socket that has just been opened.
    ///
    /// A socket to which no connection came about libcurl closes without a word (7.88, `cf_socket_close`), and says so only
    /// when the transfer's step is over. Another that it opens in the same step, to the next of a name's addresses, mostly
    /// has the same number, and if the same is awaited of it, nothing is said at all. What watched the one does not watch
    /// the other: the kernel has forgotten it.
    func opened(_ socket: Int32) {
        guard let stale = sockets.removeValue(forKey: socket) else { return }
        stale.poller.close()
        watch(socket, for: stale.wanted)
    }

    /// Ends a transfer wherever it is.
    func remove(_ handle: UnsafeMutableRawPointer) { curl_multi_remove_handle(pointer, handle) }

    /// Closes all connections, once every transfer has ended.
    func close() {
        guard let timer else { return }
        self.timer = nil
        timer.cancel()
        curl_multi_cleanup(pointer)
    }

    // MARK: Who is on which connection

    /// Takes note that a transfer is about to be sent on a connection that takes one request at a time.
    ///
    /// Where a host speaks HTTP/2 on some connections and not on others, libcurl (7.88) sends several requests at once on each,
    /// and gives each answer to whoever reads first.
    ///
    /// - Parameter connection: the TLS of it; nil where there is none, and so no HTTP/2 either.
    /// - Returns: whether it may be sent: nobody else is waiting for an answer there.
    func take(_ connection: OpaquePointer?, for transfer: Transfer) -> Bool {
        guard let connection else { return true }
        if let other = users[connection], other !== transfer, drawbridge_curl_tls(other.handle) == connection {
            return false
        }
        forget(transfer)
        users[connection] = transfer
        transfer.connection = connection
        return true
    }

    /// Forgets where a transfer was sent last.
    func forget(_ transfer: Transfer) {
        guard let connection = transfer.connection else { return }
        transfer.connection = nil
        if users[connection] === transfer { users[connection] = nil }
    }

    // MARK: Sockets and time

    private struct WatchedSocket {
        let poller: Poller
        var wanted: Poller.Events
    }

    private func watch(_ socket: Int32, _ what: CInt) {
        switch what {
        case CURL_POLL_IN: watch(socket, for: .readable)
        case CURL_POLL_OUT: watch(socket, for: .writable)
        case CURL_POLL_INOUT: watch(socket, for: [.readable, .writable])
        default:
            // It is about to be closed, or is closed already: another may have its number in the next moment.
            guard let watched = sockets.removeValue(forKey: socket) else { return }
            watched.poller.close()
            if watched.wanted == .writable { hasFailedToConnect = true }
        }
    }

    private func watch(_ socket: Int32, for wanted: Poller.Events) {
        if sockets[socket] == nil {
            // Where there is no poller, for want of memory, the transfer ends at its deadline.
            let poller = try? Poller(descriptor: socket) { [weak self] events in self?.happened(socket, events) }
            guard let poller else { return }
            sockets[socket] = WatchedSocket(poller: poller, wanted: wanted)
        }
        sockets[socket]!.wanted = wanted
        sockets[socket]!.poller.watch(wanted)
    }

    private func happened(_ socket: Int32, _ events: Poller.Events) {
        act(
            socket,
            (events.contains(.readable) ? CURL_CSELECT_IN : 0) | (events.contains(.writable) ? CURL_CSELECT_OUT : 0))
        // After an error nothing more is watched for, and libcurl, for which nothing has changed, does not say it again.
        guard let watched = sockets[socket] else { return }
        watched.poller.watch(watched.wanted)
    }

    private func wait(_ milliseconds: Int) {
        if milliseconds < 0 { timer?.clear() } else { timer?.set(.milliseconds(milliseconds)) }
    }

    private func act(_ socket: Int32, _ events: CInt) {
        hasFailedToConnect = false
        var running: CInt = 0
        curl_multi_socket_action(pointer, socket, events, &running)
        // Each time one address less is left.
        while hasFailedToConnect {
            hasFailedToConnect = false
            _ = drawbridge_curl_multi_look_at_all(pointer, &running)
        }
        var left: CInt = 0
        while let message = curl_multi_info_read(pointer, &left) {
            guard message.pointee.msg == CURLMSG_DONE, let handle = message.pointee.easy_handle else { continue }
            // The message is gone with the handle.
            let result = message.pointee.data.result
            remove(handle)
            onEnd(handle, result)
        }
    }
}
