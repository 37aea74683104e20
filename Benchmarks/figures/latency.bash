# What the gateway adds to a request's latency at a low load: four connections that pause for 8 to 24 ms between requests
# (about 250 requests a second; the pause does not count), straight to a fixed backend and through the gateway to the same
# one, in turn. What is added is the difference of the two medians, and of the two 99th percentiles: what a client notices,
# and more than the 99th percentile of what single requests are delayed by where the two are not slow at once.
#
# Through the gateway means two workers, with token, limits, schema, and the ledger's acknowledgement of the decision before
# the answer leaves; no TLS. Each request is another one, so with the firewall each is inspected by all rules.

start_backend

firewall_mode=
change_policies() {
    sed -i "s|socket: run/bridge.sock|socket: $backend|" "$1/gateway.yaml"
    sed -i "s/^mode: On/mode: $firewall_mode/" "$1/firewall.yaml"
}

# What was added in each round, and the median of that: added On|Off p50|p99
added() {
    paste "$output/latency-$1-through.$2" "$output/latency-$1-direct.$2" | awk '{ print $1 - $2 }' | median
}

for firewall_mode in Off On; do
    start_drawbridge 2 3 change_policies
    export TOKEN=$BOOKING_ENGINE_TOKEN
    availability_url "$plain_url"
    through=$url
    availability_url "$backend_url"
    rounds "latency-$firewall_mode" 4 "through $through unhurried" "direct $url unhurried"
    unset TOKEN
    for percentile in p50 p99; do
        inform "latency: added $percentile, firewall ${firewall_mode,,}" "$(added $firewall_mode $percentile)" ms \
            "$(short "$(median_of "latency-$firewall_mode-through.$percentile")") − $(
                short "$(median_of "latency-$firewall_mode-direct.$percentile")") ms"
    done
    end_last_process
    rm -rf "$directory/home" "$directory/policies"
done
