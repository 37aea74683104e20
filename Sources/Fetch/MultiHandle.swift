internal import CLibCurl
internal import Glibc
internal import Loop

/// libcurl's many transfers at once, driven by the loop: it says which sockets it waits for and until when, and is told
/// what has happened (`curl_multi_socket_action`).
///
/// Nothing of it waits. Names are resolved by libcurl's own threads, one for each name that is being asked for. `close` it
/// before letting go of it.
@OnLoop
final class MultiHandle {
    private let pointer: UnsafeMutableRawPointer
    private var sockets: [Int32: WatchedSocket] = [:]
    /// The sockets of connections, which are told of when they are closed; those by which a resolver's thread wakes us
    /// are not.
    private var connections: Set<Int32> = []
    private var timer: Deadline?
    private let onEnd: @OnLoop (UnsafeMutableRawPointer, CURLcode) -> Void

    /// - Parameter onEnd: called with the handle of each transfer that has ended, which is no longer part of this.
    init(
        connections: Int, connectionsPerHost: Int,
        onEnd: @escaping @OnLoop (UnsafeMutableRawPointer, CURLcode) -> Void
    ) {
        guard CurlLibrary.isUsable, let pointer = curl_multi_init() else {
            preconditionFailure("libcurl cannot be used")
        }
        self.pointer = pointer
        self.onEnd = onEnd
        timer = Deadline { [weak self] in self?.act(CURL_SOCKET_TIMEOUT, 0) }
        set(CURLMOPT_MAX_TOTAL_CONNECTIONS, connections)
        set(CURLMOPT_MAXCONNECTS, connections)
        set(CURLMOPT_MAX_HOST_CONNECTIONS, connectionsPerHost)
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
        // The sockets that it opens outlive it, and are watched here.
        let status = drawbridge_curl_set_closer(
            handle,
            { context, socket in
                let multi = Unmanaged<MultiHandle>.fromOpaque(context!).takeUnretainedValue()
                OnLoop.assumeIsolated { multi.forget(socket) }
                return Glibc.close(socket)
            }, Unmanaged.passUnretained(self).toOpaque())
        precondition(status == CURLE_OK, "libcurl without an option")
        precondition(curl_multi_add_handle(pointer, handle) == CURLM_OK, "the transfer is under way")
    }

    /// Notes a connection's socket, which is kept watched until it is closed.
    func opened(_ socket: Int32) { connections.insert(socket) }

    private func forget(_ socket: Int32) {
        connections.remove(socket)
        sockets.removeValue(forKey: socket)?.poller.close()
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

    /// A socket, kept watched for as long as it is open: the connections that are idle are many, and most are soon used
    /// again.
    private struct WatchedSocket {
        let poller: Poller
        var wanted: Poller.Events
    }

    private func watch(_ socket: Int32, _ what: CInt) {
        let wanted: Poller.Events =
            switch what {
            case CURL_POLL_IN: .readable
            case CURL_POLL_OUT: .writable
            case CURL_POLL_INOUT: [.readable, .writable]
            default: []
            }
        // Another may have its number in the next moment.
        if wanted.isEmpty, !connections.contains(socket) { return forget(socket) }
        if sockets[socket] == nil {
            guard !wanted.isEmpty else { return }
            // Where there is no poller, for want of memory, the transfer ends at its deadline.
            let poller = try? Poller(descriptor: socket) { [weak self] events in self?.happened(socket, events) }
            guard let poller else { return }
            sockets[socket] = WatchedSocket(poller: poller, wanted: wanted)
        }
        sockets[socket]!.wanted = wanted
        sockets[socket]!.poller.watch(wanted.isEmpty ? .readable : wanted)
    }

    private func happened(_ socket: Int32, _ events: Poller.Events) {
        guard let watched = sockets[socket] else { return }
        // The other side has ended an idle connection: libcurl finds out before it uses it again.
        guard !watched.wanted.isEmpty else { return watched.poller.watch([]) }
        act(
            socket,
            (events.contains(.readable) ? CURL_CSELECT_IN : 0) | (events.contains(.writable) ? CURL_CSELECT_OUT : 0))
    }

    private func wait(_ milliseconds: Int) {
        if milliseconds < 0 { timer?.clear() } else { timer?.set(.milliseconds(milliseconds)) }
    }

    private func act(_ socket: Int32, _ events: CInt) {
        var running: CInt = 0
        curl_multi_socket_action(pointer, socket, events, &running)
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
