# One gateway worker's resident memory: idle, over a million requests, and holding 5,000 connections that
# asked once. Those come last: what they leave behind would hide growth.

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

# The worker's own count: metric NAME
metric() {
    curl --silent --fail "$ADMIN_URL/metrics" |
        sed -n "s/^drawbridge_server_$1{.*process=\"gateway-0\".*listener=\"plain\".*} \([0-9]*\).*/\1/p"
}

export CONNECTIONS=5000
earlier=$(metric requests_total)
newly_answered() { echo $(($(metric requests_total) - earlier)); }
start idle-clients wrk --threads 1 --connections $CONNECTIONS --duration 60s --timeout 10s \
    --script "$wrk_scripts/idle.lua" "${authorization[@]}" "$url"
for ((patience = 0; patience < 200; patience++)); do
    [ "$(metric connections)" != $CONNECTIONS ] || [ "$(newly_answered)" -lt $CONNECTIONS ] || break
    sleep 0.1
done
answered=$(newly_answered)
held=$(metric connections)
[ "$held" = $CONNECTIONS ] && [ "$answered" -ge $CONNECTIONS ] ||
    fail "memory: $held connections and $answered requests of $CONNECTIONS"
judge "memory: gateway, $held idle connections" "$(mebibytes "$(resident "$gateway")")" '< 120' MiB \
    "$answered requests on them"
end_last_process
