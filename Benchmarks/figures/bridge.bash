# Availability on a cache hit at the bridge itself, asked as a gateway asks it, beside nginx giving the same bytes: one
# process each on the same core, wrk on another.
#
# nginx copies a fixed answer with the same fields. It proves no identity, reads no query, and knows nothing that may change.

start_drawbridge 1 3
bridge_home=$directory/bench-home
mkdir -p "$bridge_home/run"
cp -r "$directory/home/keys" "$bridge_home/keys"
port=$(free_port)
DATABASE_URL=$DATABASE_URL start bridge taskset --cpu-list "$(core 0)" \
    "$programs/bench-bridge" serve "$programs/drawbridge-bridge" "$directory/policies" "$bridge_home" "$port"
await_answer "http://127.0.0.1:$port/healthz"
availability_url "http://127.0.0.1:$port"
target=${url#http://127.0.0.1:"$port"}
request=00112233445566778899aabbccddeeff

# The header's value is good for half a minute: it is made anew for each round.
identity() { "$programs/bench-bridge" identity "$bridge_home/keys/hop.key" $request "$target"; }
fields=(--header "X-Request-Id: $request")

for ((patience = 0; patience < 300; patience++)); do
    status=$(curl --silent --output "$directory/answer.json" --dump-header "$directory/answer.head" --write-out '%{http_code}' \
        "${fields[@]}" --header "Drawbridge-Identity: $(identity)" "$url")
    [ "$status" != 200 ] || break
    sleep 0.1
done
[ "$status" = 200 ] || fail "bridge: $status and not 200"
peer=$(free_port)
copied=$(tr -d '\r' <"$directory/answer.head" | awk -F ': ' '
    tolower($1) ~ /^(etag|age|cache-status|cache-control|x-request-id)$/ { gsub(/"/, "\\\"", $2); printf "add_header %s \"%s\";", $1, $2 }')
start_nginx bridge "$(core 0)" 1 "server { listen 127.0.0.1:$peer; default_type application/json;
    location / { $copied return 200 '$(cat "$directory/answer.json")'; } }"
await_answer "http://127.0.0.1:$peer/"

wrk_cores=$(core 1)
for ((round = 0; round <= ROUNDS; round++)); do
    load bridge-ours-$round 64 "$SECONDS_PER_ROUND" "$url" "${fields[@]}" --header "Drawbridge-Identity: $(identity)"
    ours=$rate
    load bridge-nginx-$round 64 "$SECONDS_PER_ROUND" "http://127.0.0.1:$peer$target" "${fields[@]}"
    # Round 0 warms up and does not count.
    [ $round != 0 ] || continue
    echo "$ours" >>"$output/bridge-ours.rate"
    echo "$rate" >>"$output/bridge-nginx.rate"
done
unset wrk_cores
judge 'bridge: availability ÷ nginx, same bytes' "$(ratio bridge-ours bridge-nginx)" '>= 0.6' × \
    "$(short "$(median_of bridge-ours.rate)")/s : $(short "$(median_of bridge-nginx.rate)")/s"
