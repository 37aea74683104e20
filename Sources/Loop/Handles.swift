internal import CLibUV

extension UnsafeMutablePointer {
    /// A libuv handle seen as its base type; libuv lays every handle out so.
    var asHandle: UnsafeMutablePointer<uv_handle_t> {
        UnsafeMutableRawPointer(self).assumingMemoryBound(to: uv_handle_t.self)
    }
}
