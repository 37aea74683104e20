# Bookings over many hotels, each a transaction that PostgreSQL writes to disk.
#
# The peer is pgbench sending the same statements in the same two round trips (Benchmarks/pgbench/booking.sql) to the same
# database, over as many connections as the bridge gives to transactions. It has no HTTP, no tokens, no ledger, chooses no
# room and reads no answer. In both, transactions of one hotel follow each other, and each commit waits for the one lock that
# the PMS's own NOTIFY takes.

export HOTELS=100
start_drawbridge 2 $HOTELS
bookings=$plain_url/api/booking-engine/bookings
pool=$(sed -n 's/^  pool_size: \([0-9]*\).*/\1/p' "$directory/policies/bridge.yaml")

# Books for some seconds: book NAME CONNECTIONS SECONDS; in RUN's name, so that no id comes twice.
book() {
    export RUN=$$-$1
    wrk_script=booking load "$1" "$2" "$3" "$bookings" --header "Authorization: Bearer $BOOKING_ENGINE_TOKEN"
}

# What pgbench does in the same time: pgbench_books NAME SECONDS
pgbench_books() {
    PGOPTIONS='-c plan_cache_mode=force_custom_plan -c my_app.user_id=2' run "$output/$1.txt" \
        pgbench --no-vacuum --protocol prepared --define hotels=$HOTELS --client $((pool - 1)) --time "$2" \
        --random-seed $RANDOM --file Benchmarks/pgbench/booking.sql "$DATABASE_URL"
    sed -n 's/^tps = \([0-9.]*\).*/\1/p' "$output/$1.txt"
}

for ((round = 0; round <= ROUNDS; round++)); do
    book booking-ours-$round 16 "$SECONDS_PER_ROUND"
    ours=$rate
    peers=$(pgbench_books booking-pgbench-$round "$SECONDS_PER_ROUND")
    # Round 0 warms up and does not count.
    [ $round != 0 ] || continue
    echo "$ours" >>"$output/booking-ours.rate"
    echo "$peers" >>"$output/booking-pgbench.rate"
done
judge 'booking: bookings ÷ pgbench' "$(ratio booking-ours booking-pgbench)" '>= 0.8' '' \
    "$(short "$(median_of booking-ours.rate)")/s, pgbench $(short "$(median_of booking-pgbench.rate)")/s"
book booking-hundred 100 $((ROUNDS * SECONDS_PER_ROUND))
judge 'booking: p99' "$p99" '< 50' ms '100 clients'
inform 'booking: p50' "$p50" ms '100 clients'
inform 'booking: bookings' "$rate" /s "$(reported refused booking-hundred) found no room"

# Changes of what was booked: of as many bookings as there are clients, each of its own, its dates to and fro.
export CHANGED=$directory/changed.txt
psql --no-psqlrc --quiet --tuples-only --no-align --field-separator ' ' --dbname "$DATABASE_URL" --command "
    SELECT DISTINCT ON (hotel_id) booking_id, version, arrival, arrival + 1, arrival + 2 FROM drawbridge.bookings
    WHERE status = 'confirmed' AND client <> 'bench' ORDER BY hotel_id, arrival DESC" >"$CHANGED"
wrk_script=change load booking-change 16 $((ROUNDS * SECONDS_PER_ROUND)) "$bookings" \
    --header "Authorization: Bearer $BOOKING_ENGINE_TOKEN"
judge 'booking: change p99' "$p99" '< 30' ms '16 clients'
inform 'booking: change p50' "$p50" ms '16 clients'
inform 'booking: changes' "$rate" /s "$(reported refused booking-change) found no room"
