# One gateway worker's resident memory: idle, over a million requests, and holding 5,000 and then 10,000
# connections that asked once. Those come last: what they leave behind would hide growth.

ulimit -n 16384 2>/dev/null || ulimit -n "$(ulimit -H -n)"
start_drawbridge 1 3
gateway=$(sed -n 's/.*"process is ready","slot":"gateway-0","pid":\([0-9]*\).*/\1/p' "$directory/drawbridge.log")
availability_url "$plain_url"
authorization=(--header "Authorization: Bearer $BOOKING_ENGINE_TOKEN")

judge 'memory: gateway, idle' "$(mebibytes "$(resident "$gateway")")" '< 40' MiB

# Loads until the worker has answered so many: answer_requests NAME COUNT
answer_requests() {
    local answered=0 part=0 seconds=2
    while [ "$answered" -lt "$2" ]; do
        load "memory-$1-$part" 64 $seconds "$url" "${authorization[@]}"
        answered=$((answered + requests))
        part=$((part + 1))
        seconds=$(awk "BEGIN { left = ($2 - $answered) / $rate; print (left > 20) ? 20 : int(left + 1) }")
    done
    echo "$answered"
}
answer_requests warm-up 100000 >"$output/memory-warm-up.count"
before=$(resident "$gateway")
answer_requests measured 1000000 >"$output/memory-measured.count"
after=$(resident "$gateway")
judge 'memory: growth over 1,000,000 requests' "$(mebibytes $((after - before)))" '< 2' MiB \
    "$(cat "$output/memory-measured.count") requests: $(mebibytes "$before") → $(mebibytes "$after")"

# The worker's own count: worker_metric NAME
worker_metric() { metric "drawbridge_server_$1[{].*process=\"gateway-0\".*listener=\"plain\".*[}]"; }

# Opens so many more connections that ask once and stay: hold NAME COUNT; sets `held`, `answered`
hold() {
    local before earlier patience
    before=$(worker_metric connections)
    earlier=$(worker_metric requests_total)
    CONNECTIONS=$2 start "idle-clients-$1" wrk --threads 1 --connections "$2" --duration 120s --timeout 10s \
        --script "$wrk_scripts/idle.lua" "${authorization[@]}" "$url"
    for ((patience = 0; patience < 300; patience++)); do
        held=$(worker_metric connections)
        answered=$(($(worker_metric requests_total) - earlier))
        [ "$held" -lt $((before + $2)) ] || [ "$answered" -lt "$2" ] || return 0
        sleep 0.1
    done
    fail "memory: $held connections, $answered requests of $2 answered"
}

hold half 5000
judge "memory: gateway, $held idle connections" "$(mebibytes "$(resident "$gateway")")" '< 120' MiB \
    "$answered requests on them"
hold whole 5000
judge "memory: gateway, $held idle connections" "$(mebibytes "$(resident "$gateway")")" '< 200' MiB \
    "$answered requests on the new ones"
end_last_process
end_last_process
