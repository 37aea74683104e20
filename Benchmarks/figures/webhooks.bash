# Webhooks from the commit of an event until its subscriber has it, by HTTPS: each event in a transaction of its own, as a
# booking's is; bench-webhooks commits and receives, so both clocks are its own.
#
# There are a hundred endpoints, each of another hotel: fifty of one receiver, and fifty each at an address of its own. A
# bridge, its database, and the receiver share what cores there are.

webhook_seconds=${WEBHOOK_SECONDS:-60}
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=receiver \
    -addext "subjectAltName=IP:127.0.0.1$(printf ',IP:127.0.1.%d' $(seq 50))" \
    -keyout "$directory/receiver.key" -out "$directory/receiver.pem" 2>/dev/null
receiver_port=$(free_port)
other_port=$(free_port)
parked_port=$(free_port)

believe() { sed -i "s|^# authorities: .*|authorities: $directory/receiver.pem|" "$1/egress.yaml"; }
start_drawbridge 1 100 believe

# The installation's own command: administer WORD …
administer() {
    DRAWBRIDGE_HOME=$directory/home "$programs/drawbridge" "$@" >>"$directory/administer.log" 2>&1 || fail "drawbridge $*"
}
query() { psql --no-psqlrc --quiet --tuples-only --no-align --set ON_ERROR_STOP=1 --dbname "$DATABASE_URL" --command "$1"; }

# A client may have fifty endpoints.
for client in near far; do
    administer key create --client bench-$client --scopes 'webhook:read booking:read' --every-hotel
done
for number in $(seq 50); do
    administer webhook add --client bench-near --url "https://127.0.0.1:$receiver_port/$number" --events booking.updated \
        --hotel "$number"
    administer webhook add --client bench-far --url "https://127.0.1.$number:$other_port/" --events booking.updated \
        --hotel $((number + 50))
done

# Commits and receives: deliver NAME RATE SECONDS HOTELS OTHER-HOTELS [hang]; sets `delivered` (a second), `p50` and `p95`
# (milliseconds), and `statements` for each delivery.
deliver() {
    local name=webhooks-$1 before deliveries
    before=$(metric drawbridge_bridge_webhook_statements_total)
    deliveries=$(metric drawbridge_bridge_webhook_deliveries_total)
    DATABASE_URL=$DATABASE_URL run "$output/$name.txt" "$programs/bench-webhooks" "$directory/receiver.pem" \
        "$directory/receiver.key" "$receiver_port" "$other_port" "${@:2}"
    [ "$(reported missing "$name")" = 0 ] || fail "$name: $(reported missing "$name") events have not arrived"
    delivered=$(reported rate "$name")
    p50=$(reported p50 "$name")
    p95=$(reported p95 "$name")
    statements=$(awk "BEGIN { print ($(metric drawbridge_bridge_webhook_statements_total) - $before) / \
        ($(metric drawbridge_bridge_webhook_deliveries_total) - $deliveries) }")
}

# By how many per cent the median of one file of numbers is more than that of another: excess NAME NAME
excess() { awk "BEGIN { print ($(median_of "$2") / $(median_of "$1") - 1) * 100 }"; }

deliver warm-up 200 5 10 0
deliver thousand 1000 "$webhook_seconds" 10 0
judge 'webhooks: deliveries' "$delivered" '>= 990' /s "committed at 1000/s for $webhook_seconds s"
judge 'webhooks: commit to received, p95' "$p95" '< 1000' ms "$(short "$p50") ms p50"
judge 'webhooks: statements per delivery' "$statements" '<= 3' '' 'at 1000/s'

# Somebody's snapshot keeps PostgreSQL from removing what dies meanwhile. n_dead_tup is looked at every second. It rises and
# falls as slots of 20 seconds are filled and emptied, so whole minutes are compared: the last one with the first after slots
# were in use for 20 seconds.
mkfifo "$directory/holder"
start holder psql --no-psqlrc --quiet --dbname "$DATABASE_URL" --file "$directory/holder"
exec 9>"$directory/holder"
echo 'BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM drawbridge.bookings;' >&9
echo "SELECT sum(n_dead_tup) FROM pg_stat_user_tables WHERE schemaname = 'drawbridge' \\watch 1" >"$directory/dead.sql"
start dead psql --no-psqlrc --quiet --tuples-only --no-align --dbname "$DATABASE_URL" --file "$directory/dead.sql"
deliver old-snapshot 1000 $((webhook_seconds * 3)) 10 0
end_last_process
echo 'COMMIT;' >&9
exec 9>&-
end_last_process
grep '^[0-9]' "$directory/dead.log" >"$output/webhooks-dead.txt"
first=$(sed -n "21,$((webhook_seconds + 20))p" "$output/webhooks-dead.txt" | awk '{ sum += $1 } END { print sum / NR }')
last=$(tail -n "$webhook_seconds" "$output/webhooks-dead.txt" | awk '{ sum += $1 } END { print sum / NR }')
judge 'webhooks: dead tuples, last minute ÷ first' "$(awk "BEGIN { print $last / ($first > 0 ? $first : 1) }")" '< 1.2' '' \
    "$(short "$first") → $(short "$last"), old snapshot held"
inform 'webhooks: p95 with an old snapshot' "$p95" ms "$(short "$delivered")/s"

for ((round = 0; round < ROUNDS; round++)); do
    deliver hundred-$round 100 $((SECONDS_PER_ROUND * 3)) 10 0
    echo "$p95" >>"$output/webhooks-hundred.p95"
done
judge 'webhooks: p95 at 100/s' "$(median_of webhooks-hundred.p95)" '< 100' ms "$(short "$statements") statements each"

# Half of the endpoints hang until their attempts are given up, as long as it takes for that to have begun and to go on.
deliver well-0 200 "$webhook_seconds" 50 50
echo "$p95" >>"$output/webhooks-well.p95"
deliver hanging-0 200 "$webhook_seconds" 50 50 hang
echo "$p95" >>"$output/webhooks-hanging.p95"
judge 'webhooks: p95 while half of 100 hang' "$(excess webhooks-well.p95 webhooks-hanging.p95)" '< 20' % \
    "$(short "$(median_of webhooks-well.p95)") → $(short "$(median_of webhooks-hanging.p95)") ms, 200/s"

# A million deliveries are due: of endpoints where nobody listens.
administer key create --client bench-parked --scopes 'webhook:read booking:read' --every-hotel
for number in $(seq 10); do
    administer webhook add --client bench-parked --url "https://127.0.0.1:$parked_port/$number" --events booking.cancelled \
        --hotel "$number"
done
query "
    WITH parked AS (
        SELECT id, position FROM drawbridge.webhook_endpoints WHERE url LIKE '%:$parked_port/%'
    ), event AS (
        SELECT event_id, position FROM drawbridge.webhook_events LIMIT 1
    ), made AS (
        SELECT drawbridge.time_ordered_id() AS delivery_id, parked.id, event_id, event.position
        FROM parked, event, generate_series(1, 100000)
    ), delivery AS (
        INSERT INTO drawbridge.webhook_deliveries (delivery_id, event_id, endpoint_id, origin)
        SELECT delivery_id, event_id, id, 'event' FROM made
    )
    INSERT INTO drawbridge.webhook_waiting (delivery_id, endpoint_id, event_id, position, attempts, due_at)
    SELECT delivery_id, id, event_id, position, 0, now() FROM made"
query 'VACUUM ANALYZE drawbridge.webhook_waiting'
for ((round = 0; round < ROUNDS; round++)); do
    deliver backlog-$round 100 $((SECONDS_PER_ROUND * 3)) 10 0
    echo "$p95" >>"$output/webhooks-backlog.p95"
done
waiting=$(query 'SELECT count(*) FROM drawbridge.webhook_waiting')
[ "$waiting" -ge 1000000 ] || fail "webhooks: $waiting deliveries wait, and not a million"
judge 'webhooks: p95 with a million due' "$(excess webhooks-hundred.p95 webhooks-backlog.p95)" '< 20' % \
    "$(short "$(median_of webhooks-hundred.p95)") → $(short "$(median_of webhooks-backlog.p95)") ms, 100/s"
deliver backlog-thousand 1000 $((webhook_seconds / 3)) 10 0
inform 'webhooks: p95 with a million due' "$p95" ms "$(short "$delivered")/s"
