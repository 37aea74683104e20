# Forwarding over a unix socket to one backend that all share: two workers on the same two cores each. With four cores
# the backend and wrk have cores of their own.

backend=$directory/backend.sock
start_nginx backend "$(core 2)" 1 "server { listen unix:$backend backlog=1024; $(fixed_answer) }"
await_answer http://localhost/ --unix-socket "$backend"

proxy_cores=$(core 0),$(core 1)
ours=$(free_port)
for worker in 0 1; do
    start "bench-proxy-$worker" taskset --cpu-list "$proxy_cores" "$programs/bench-proxy" "$ours" "$backend"
done
await_answer "http://127.0.0.1:$ours/"

nginx=$(free_port)
start_nginx proxy "$proxy_cores" 2 "
    upstream backend { server unix:$backend; keepalive 64; keepalive_requests 1000000000; }
    server {
        listen 127.0.0.1:$nginx reuseport;
        location / {
            proxy_pass http://backend;
            proxy_http_version 1.1;
            proxy_set_header Connection '';
            proxy_set_header Host \$http_host;
            proxy_set_header X-Forwarded-For \$remote_addr;
        }
    }"
await_answer "http://127.0.0.1:$nginx/"

haproxy=$(free_port)
cat >"$directory/haproxy.cfg" <<END
global
    nbthread 2
    maxconn 4096
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    http-reuse always
    option forwardfor
frontend clients
    bind 127.0.0.1:$haproxy
    default_backend backend
backend backend
    server backend unix@$backend pool-max-conn -1
END
start haproxy taskset --cpu-list "$proxy_cores" haproxy -db -f "$directory/haproxy.cfg"
await_answer "http://127.0.0.1:$haproxy/"

wrk_cores=$(core 3)
rounds proxy 64 "drawbridge http://127.0.0.1:$ours/" "haproxy http://127.0.0.1:$haproxy/" \
    "nginx http://127.0.0.1:$nginx/"
unset wrk_cores

our_rate=$(short "$(median_of proxy-drawbridge.rate)")
judge 'proxy: two workers ÷ HAProxy, two threads' "$(ratio proxy-drawbridge proxy-haproxy)" '>= 1.2' × \
    "$our_rate/s : $(short "$(median_of proxy-haproxy.rate)")/s"
judge 'proxy: two workers ÷ nginx, two workers' "$(ratio proxy-drawbridge proxy-nginx)" '>= 1.0' × \
    "$our_rate/s : $(short "$(median_of proxy-nginx.rate)")/s"
