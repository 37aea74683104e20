internal import CLibCurl

/// libcurl as a whole.
enum CurlLibrary {
    /// Initialises it once, by whichever thread comes first: libcurl 7.84 and later allow it while other threads run.
    static let isUsable = curl_global_init(Int(CURL_GLOBAL_DEFAULT)) == CURLE_OK
}
