internal import CLibCurl

/// TLS sessions to go on with, of as many receivers as are sent to.
///
/// libcurl keeps eight of them in what transfers share, whatever is asked for (7.88, `curl_share_setopt`). So receivers
/// are spread over many such caches by their names.
final class SessionCaches {
    private static let count = 128
    private var caches: [UnsafeMutableRawPointer?] = Array(repeating: nil, count: count)

    deinit { for cache in caches { cache.map { _ = curl_share_cleanup($0) } } }

    /// The cache for a receiver; nil where there is no memory for it.
    func cache(host: String, port: UInt16) -> UnsafeMutableRawPointer? {
        var hasher = Hasher()
        hasher.combine(host)
        hasher.combine(port)
        let index = Int(UInt(bitPattern: hasher.finalize()) % UInt(Self.count))
        if caches[index] == nil, let cache = curl_share_init() {
            // Nobody else uses it: there is nothing to be locked.
            _ = drawbridge_curl_share(cache, CURL_LOCK_DATA_SSL_SESSION)
            caches[index] = cache
        }
        return caches[index]
    }
}
