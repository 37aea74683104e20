# Forwarding over a unix socket: two workers, or threads, which share one core with nothing else. wrk and the backend, which
# does as little as it can, have the others, so that it is the proxies that limit: where they shared two cores with both,
# more than half of each request was wrk's and the backend's work, the same for all, and noise was greater than what was
# left to tell apart. What comes out there is said, too.
#
# The peers do what we do: the client's forwarding fields are replaced by our own four, `Via` is added both ways and each
# answer gets a request id. Beside that they are measured as bare forwarders, which change nothing. Two threads of HAProxy on
# one core are faster than one (74,000/s and 68,000/s where ours made 100,000/s), as two workers of ours are.

proxy_cores=$(core 0)
wrk_cores=$(cores | tail -n +2 | paste -s -d ,)
# Where there is but one, they share it.
wrk_cores=${wrk_cores:-$proxy_cores}

backend=$directory/backend.sock
start backend taskset --cpu-list "$wrk_cores" "$programs/bench-backend" "$backend"
backend_process=${processes[-1]}

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

nginx_processes="${processes[-1]} $(pgrep --parent "${processes[-1]}" | paste -s -d ' ')"

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
rounds proxy 64 "drawbridge http://127.0.0.1:$ours/" "haproxy http://127.0.0.1:$haproxy/" \
    "nginx http://127.0.0.1:$nginx/" "bare-haproxy http://127.0.0.1:$bare_haproxy/" \
    "bare-nginx http://127.0.0.1:$bare_nginx/"
for contender in drawbridge haproxy; do used[$contender]=$(($(used_by "$contender") - ${used[$contender]})); done

our_rate=$(short "$(median_of proxy-drawbridge.rate)")
for peer in haproxy nginx; do
    case $peer in haproxy) bound='>= 1.2' ;; nginx) bound='>= 1.0' ;; esac
    judge "proxy: one core ÷ $peer, the same work" "$(ratio proxy-drawbridge proxy-$peer)" "$bound" × \
        "$our_rate/s : $(short "$(median_of "proxy-$peer.rate")")/s"
    inform "proxy: one core ÷ $peer, bare" "$(ratio proxy-drawbridge proxy-bare-$peer)" × \
        "$our_rate/s : $(short "$(median_of "proxy-bare-$peer.rate")")/s"
done
for contender in drawbridge haproxy; do
    cost=$(microseconds "proxy-$contender" "${used[$contender]}")
    # Far from all of the core, and it would not be the proxy that limited.
    inform "proxy: processor time, $contender" "$cost" µs \
        "$(awk -v rate="$(median_of "proxy-$contender.rate")" "BEGIN { printf \"%.0f\", rate * $cost / 1e4 }") % of the core"
done

# Two cores for everything, as on a small machine.
both_cores=$(core 0),$(core 1)
wrk_cores=$both_cores
for process in $backend_process $drawbridge_processes $haproxy_processes $nginx_processes; do
    taskset --all-tasks --cpu-list --pid "$both_cores" "$process" >"$directory/taskset.log"
done
rounds proxy-shared 64 "drawbridge http://127.0.0.1:$ours/" "haproxy http://127.0.0.1:$haproxy/" \
    "nginx http://127.0.0.1:$nginx/"
unset wrk_cores
for peer in haproxy nginx; do
    inform "proxy: ÷ $peer, two cores for all and wrk" "$(ratio proxy-shared-drawbridge "proxy-shared-$peer")" × \
        "$(short "$(median_of proxy-shared-drawbridge.rate)")/s : $(short "$(median_of "proxy-shared-$peer.rate")")/s"
done
