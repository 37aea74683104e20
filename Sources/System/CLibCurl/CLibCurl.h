#include <curl/curl.h>

// libcurl's setters and getters take any number of arguments of any type, which Swift cannot call.

static inline CURLcode drawbridge_curl_set_text(CURL *handle, CURLoption option, const char *value) {
    return curl_easy_setopt(handle, option, value);
}

static inline CURLcode drawbridge_curl_set_number(CURL *handle, CURLoption option, long value) {
    return curl_easy_setopt(handle, option, value);
}

// A list, a share, a buffer, or what a callback is given.
static inline CURLcode drawbridge_curl_set_pointer(CURL *handle, CURLoption option, void *value) {
    return curl_easy_setopt(handle, option, value);
}

static inline CURLcode drawbridge_curl_set_writer(CURL *handle, curl_write_callback writer, void *context) {
    CURLcode code = curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, writer);
    return code != CURLE_OK ? code : curl_easy_setopt(handle, CURLOPT_WRITEDATA, context);
}

static inline CURLcode drawbridge_curl_set_head_reader(CURL *handle, curl_write_callback reader, void *context) {
    CURLcode code = curl_easy_setopt(handle, CURLOPT_HEADERFUNCTION, reader);
    return code != CURLE_OK ? code : curl_easy_setopt(handle, CURLOPT_HEADERDATA, context);
}

static inline CURLcode drawbridge_curl_set_opener(CURL *handle, curl_opensocket_callback opener, void *context) {
    CURLcode code = curl_easy_setopt(handle, CURLOPT_OPENSOCKETFUNCTION, opener);
    return code != CURLE_OK ? code : curl_easy_setopt(handle, CURLOPT_OPENSOCKETDATA, context);
}

static inline CURLcode drawbridge_curl_set_examiner(CURL *handle, curl_prereq_callback examiner, void *context) {
    CURLcode code = curl_easy_setopt(handle, CURLOPT_PREREQFUNCTION, examiner);
    return code != CURLE_OK ? code : curl_easy_setopt(handle, CURLOPT_PREREQDATA, context);
}

static inline CURLcode drawbridge_curl_get_number(CURL *handle, CURLINFO info, long *value) {
    return curl_easy_getinfo(handle, info, value);
}

static inline CURLcode drawbridge_curl_get_offset(CURL *handle, CURLINFO info, curl_off_t *value) {
    return curl_easy_getinfo(handle, info, value);
}

// A text, or what was set with CURLOPT_PRIVATE.
static inline CURLcode drawbridge_curl_get_pointer(CURL *handle, CURLINFO info, char **value) {
    return curl_easy_getinfo(handle, info, value);
}

static inline CURLMcode drawbridge_curl_multi_set_number(CURLM *multi, CURLMoption option, long value) {
    return curl_multi_setopt(multi, option, value);
}

static inline CURLMcode drawbridge_curl_multi_set_callbacks(
    CURLM *multi, curl_socket_callback socket, curl_multi_timer_callback timer, void *context) {
    CURLMcode code = curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, socket);
    if (code == CURLM_OK)
        code = curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, context);
    if (code == CURLM_OK)
        code = curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, timer);
    return code != CURLM_OK ? code : curl_multi_setopt(multi, CURLMOPT_TIMERDATA, context);
}

// It is deprecated for being slow where it is all that is called, and there is no other that looks at a transfer for which
// nothing has happened.
static inline CURLMcode drawbridge_curl_multi_look_at_all(CURLM *multi, int *running) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
    return curl_multi_socket_all(multi, running);
#pragma GCC diagnostic pop
}

static inline CURLSHcode drawbridge_curl_share(CURLSH *share, curl_lock_data what) {
    return curl_share_setopt(share, CURLSHOPT_SHARE, what);
}

// OpenSSL's, of whose headers nothing else is wanted here.
struct ssl_st;
extern int SSL_session_reused(const struct ssl_st *session);
extern void SSL_get0_alpn_selected(const struct ssl_st *session, const unsigned char **name, unsigned int *length);

// The TLS of the connection that a transfer is on; NULL where it has none.
static inline const struct ssl_st *drawbridge_curl_tls(CURL *handle) {
    struct curl_tlssessioninfo *session = NULL;
    if (curl_easy_getinfo(handle, CURLINFO_TLS_SSL_PTR, &session) != CURLE_OK || !session)
        return NULL;
    return (const struct ssl_st *)session->internals;
}

// Whether that goes on with an earlier one's session; libcurl knows, and does not say.
static inline int drawbridge_curl_is_resumed(CURL *handle) {
    const struct ssl_st *tls = drawbridge_curl_tls(handle);
    return tls && SSL_session_reused(tls);
}

// Whether it was agreed upon to speak HTTP/2 (RFC 9113 section 3.2); libcurl says so when the answer has come.
static inline int drawbridge_curl_speaks_http2(CURL *handle) {
    const struct ssl_st *tls = drawbridge_curl_tls(handle);
    const unsigned char *name = NULL;
    unsigned int length = 0;
    if (tls)
        SSL_get0_alpn_selected(tls, &name, &length);
    return length == 2 && name[0] == 'h' && name[1] == '2';
}
