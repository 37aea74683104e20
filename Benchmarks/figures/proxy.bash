# Forwarding over a unix socket to one backend that all share: two workers on the same two cores each. With four cores
# the backend and wrk have cores of their own.
#
# The peers do what we do: the client's forwarding fields are replaced by our own four, `Via` is added both ways and each
# answer gets a request id. Beside that they are measured as bare forwarders, which change nothing.

start_backend

proxy_cores=$(core 0),$(core 1)
ours=$(free_port)
for worker in 0 1; do
    start "bench-proxy-$worker" taskset --cpu-list "$proxy_cores" "$programs/bench-proxy" "$ours" "$backend"
done
await_answer "http://127.0.0.1:$ours/"
drawbridge_processes=${processes[*]: -2}

# Forwards with nginx: start_forwarding_nginx NAME PORT DIRECTIVES
start_forwarding_nginx() {
    start_nginx "$1" "$proxy_cores" 2 "
        upstream backend { server unix:$backend; keepalive 64; keepalive_requests 1000000000; }
        server {
            listen 127.0.0.1:$2 reuseport;
            location / {
                proxy_pass http://backend;
                proxy_http_version 1.1;
                proxy_set_header Connection '';
                proxy_set_header Host \$http_host;
                $3
            }
        }"
    await_answer "http://127.0.0.1:$2/"
}

bare_nginx=$(free_port)
start_forwarding_nginx bare-proxy "$bare_nginx" ''
nginx=$(free_port)
start_forwarding_nginx proxy "$nginx" "
    proxy_set_header X-Forwarded-For \$remote_addr;
    proxy_set_header X-Forwarded-Proto \$scheme;
    proxy_set_header X-Forwarded-Host \$http_host;
    proxy_set_header Forwarded 'for=\$remote_addr;proto=\$scheme;host=\"\$http_host\"';
    proxy_set_header Via '1.1 nginx';
    add_header Via '1.1 nginx';
    add_header X-Request-Id \$request_id;"

# Forwards with HAProxy: start_forwarding_haproxy NAME PORT RULES
start_forwarding_haproxy() {
    start_haproxy "$1" "$proxy_cores" "
frontend clients
    bind 127.0.0.1:$2
$3
    default_backend backend
backend backend
    server backend unix@$backend pool-max-conn -1"
    await_answer "http://127.0.0.1:$2/"
}

bare_haproxy=$(free_port)
start_forwarding_haproxy bare-haproxy "$bare_haproxy" ''
haproxy=$(free_port)
start_forwarding_haproxy haproxy "$haproxy" "
    unique-id-format %{+X}o%Ts%rt%pid%rc
    http-request set-header X-Forwarded-For %[src]
    http-request set-header X-Forwarded-Proto http
    http-request set-header X-Forwarded-Host %[req.hdr(host)]
    http-request set-header Forwarded 'for=%[src];proto=http;host=\"%[req.hdr(host)]\"'
    http-request add-header Via '1.1 haproxy'
    http-response add-header Via '1.1 haproxy'
    http-response set-header X-Request-Id %[unique-id]"

haproxy_processes=${processes[-1]}

# What both have used of the processor, which is what they cost however much of it wrk and the backend take beside them.
used_by() {
    local process sum=0 all=${1}_processes
    for process in ${!all}; do sum=$((sum + $(ticks "$process"))); done
    echo "$sum"
}

declare -A used
for contender in drawbridge haproxy; do used[$contender]=$(used_by "$contender"); done
wrk_cores=$(core_beside 3)
rounds proxy 64 "drawbridge http://127.0.0.1:$ours/" "haproxy http://127.0.0.1:$haproxy/" \
    "nginx http://127.0.0.1:$nginx/" "bare-haproxy http://127.0.0.1:$bare_haproxy/" \
    "bare-nginx http://127.0.0.1:$bare_nginx/"
unset wrk_cores
for contender in drawbridge haproxy; do used[$contender]=$(($(used_by "$contender") - ${used[$contender]})); done

our_rate=$(short "$(median_of proxy-drawbridge.rate)")
for peer in haproxy nginx; do
    case $peer in haproxy) bound='>= 1.2' ;; nginx) bound='>= 1.0' ;; esac
    judge "proxy: two workers ÷ $peer, the same work" "$(ratio proxy-drawbridge proxy-$peer)" "$bound" × \
        "$our_rate/s : $(short "$(median_of "proxy-$peer.rate")")/s"
    inform "proxy: two workers ÷ $peer, bare" "$(ratio proxy-drawbridge proxy-bare-$peer)" × \
        "$our_rate/s : $(short "$(median_of "proxy-bare-$peer.rate")")/s"
done
for contender in drawbridge haproxy; do
    inform "proxy: processor time, $contender" "$(microseconds "proxy-$contender" "${used[$contender]}")" µs
done
