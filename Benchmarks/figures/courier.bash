# One loop that sends webhooks of 1,000 bytes to one receiver with TLS, nginx: over eight connections of HTTP/1.1, and over
# one of HTTP/2. The receiver has a core of its own where there are two. It passes on what it is sent before it is answered, as
# receivers do: where a bare `return` of nginx's answers without having read, libcurl 7.88 takes some streams for unfinished, and
# each of them keeps its place for a second.

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=receiver \
    -addext subjectAltName=DNS:localhost -keyout "$directory/receiver.key" -out "$directory/receiver.pem" 2>/dev/null
receiver_port=$(free_port)
start_nginx receiver "$(core 1)" 1 "
    upstream reader { server unix:$directory/reader.sock; keepalive 64; }
    server {
        listen unix:$directory/reader.sock;
        location / { return 204; }
    }
    server {
        listen 127.0.0.1:$receiver_port ssl http2 backlog=1024;
        ssl_certificate $directory/receiver.pem;
        ssl_certificate_key $directory/receiver.key;
        location / { proxy_pass http://reader; proxy_http_version 1.1; proxy_set_header Connection ''; }
    }"
await_answer "https://localhost:$receiver_port/" --cacert "$directory/receiver.pem"

for protocol in http1 http2; do
    for ((round = 0; round < ROUNDS; round++)); do
        run "$output/courier-$protocol-$round.txt" taskset --cpu-list "$(core 0)" "$programs/bench-courier" \
            "https://localhost:$receiver_port/" "$directory/receiver.pem" "$SECONDS_PER_ROUND" 64 8 $protocol
        grep -q ' 0 failed$' "$output/courier-$protocol-$round.txt" || fail "courier: requests by $protocol failed"
        sed -n 's|^\([0-9]*\) requests/s.*|\1|p' "$output/courier-$protocol-$round.txt" >>"$output/courier-$protocol.rate"
        sed -n 's|.*, \([0-9]*\) µs each.*|\1|p' "$output/courier-$protocol-$round.txt" >>"$output/courier-$protocol.cost"
    done
done
inform 'courier: requests by HTTP/1.1' "$(median_of courier-http1.rate)" /s \
    "$(median_of courier-http1.cost) µs of the processor each"
inform 'courier: requests by HTTP/2' "$(median_of courier-http2.rate)" /s \
    "$(median_of courier-http2.cost) µs of the processor each"
