# The bare server and nginx give the same 250 bytes, one worker each on the same core, wrk on another.

ours=$(free_port)
start bench-server taskset --cpu-list "$(core 0)" "$programs/bench-server" tcp "$ours"
await_answer "http://127.0.0.1:$ours/"
peer=$(free_port)
start_nginx server "$(core 0)" 1 "server { listen 127.0.0.1:$peer; $(fixed_answer) }"
await_answer "http://127.0.0.1:$peer/"

wrk_cores=$(core 1)
rounds server 64 "drawbridge http://127.0.0.1:$ours/" "nginx http://127.0.0.1:$peer/"
unset wrk_cores

judge 'server: fixed answer ÷ nginx' "$(ratio server-drawbridge server-nginx)" '>= 0.9' × \
    "$(short "$(median_of server-drawbridge.rate)")/s : $(short "$(median_of server-nginx.rate)")/s"
