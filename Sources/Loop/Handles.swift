internal import CLibUV

extension UnsafeMutablePointer {
    /// A libuv handle seen as its base type; libuv lays every handle out so.
    var asHandle: UnsafeMutablePointer<uv_handle_t> {
        UnsafeMutableRawPointer(self).assumingMemoryBound(to: uv_handle_t.self)
    }

    /// A libuv stream handle seen as its base type.
    var asStream: UnsafeMutablePointer<uv_stream_t> {
        UnsafeMutableRawPointer(self).assumingMemoryBound(to: uv_stream_t.self)
    }
}

extension UnsafeMutablePointer<uv_stream_t> {
    /// The same handle, known to be a TCP socket.
    var asTCP: UnsafeMutablePointer<uv_tcp_t> {
        UnsafeMutableRawPointer(self).assumingMemoryBound(to: uv_tcp_t.self)
    }

    /// The same handle, known to be a unix-domain socket.
    var asPipe: UnsafeMutablePointer<uv_pipe_t> {
        UnsafeMutableRawPointer(self).assumingMemoryBound(to: uv_pipe_t.self)
    }
}

/// An initialised handle for a socket of the given kind; `uv_close` it, then free it.
@OnLoop
func makeStreamHandle(isUnix: Bool) -> UnsafeMutablePointer<uv_stream_t> {
    if isUnix {
        let pipe = UnsafeMutablePointer<uv_pipe_t>.allocate(capacity: 1)
        uv_pipe_init(LoopExecutor.shared.loop, pipe, 0)
        return pipe.asStream
    }
    let tcp = UnsafeMutablePointer<uv_tcp_t>.allocate(capacity: 1)
    uv_tcp_init(LoopExecutor.shared.loop, tcp)
    return tcp.asStream
}
