# Bookings over many hotels, each a transaction that is on PostgreSQL's disk before it is answered.
#
# The peer is pgbench sending the same statements in the same two round trips (Benchmarks/pgbench/booking.sql) to the same
# database, over as many connections as the bridge gives to transactions, and committing as PostgreSQL does by itself. It has
# no HTTP, no tokens, no firewall, no ledger, chooses no room and reads no answer. In both, transactions of one hotel follow
# each other. What announces something (the PMS's triggers do, NOTIFY) PostgreSQL commits one after the other, each until it is
# on disk.
#
# 100 clients that each send the next request with the last one's answer have 100 requests under way all the time: by Little's
# law each of them waits for 100 divided by the rate, whoever answers, pgbench included (50 ms would take 2,000 bookings a
# second). That is told, but it says how many a second there are and nothing about what one client waits for. So the
# percentiles that are asked for are those of 100 clients that pause between their requests, so long that together they ask for
# half of the rate that was measured before: all of them connected, coming at random and at times together, each request at
# another hotel than the ones before. They begin when such a load has gone on for some seconds, and what the one without pauses
# has left behind is done. Changes are measured in the same way. Of the rounds' percentiles the median counts, as everywhere
# here, and the slowest round is told: in one of them each minute PostgreSQL analyses its tables. What pgbench's bookings take at
# the same rate stands beside it: where other work goes on, that of the machine is in both.

export HOTELS=100
start_drawbridge 2 $HOTELS
bookings=$plain_url/api/booking-engine/bookings
pool=$(sed -n 's/^  pool_size: \([0-9]*\).*/\1/p' "$directory/policies/bridge.yaml")

# Books for some seconds: book NAME CONNECTIONS SECONDS; in RUN's name, so that no id comes twice, and on nights that nobody
# asked for before, so that there is room.
export START=0
book() {
    export RUN=$$-$1
    wrk_script=booking load "$1" "$2" "$3" "$bookings" --header "Authorization: Bearer $BOOKING_ENGINE_TOKEN"
    START=$((START + requests + $(reported refused "$1") + $2))
}

# What pgbench does in the same time: pgbench_books NAME SECONDS SCRIPT
pgbench_books() {
    PGOPTIONS='-c plan_cache_mode=force_custom_plan -c my_app.user_id=2' run "$output/$1.txt" \
        pgbench --no-vacuum --protocol prepared --define hotels=$HOTELS --client $((pool - 1)) --time "$2" \
        --random-seed $RANDOM --file "$3" "$DATABASE_URL"
    sed -n 's/^tps = \([0-9.]*\).*/\1/p' "$output/$1.txt"
}

# What pgbench's bookings take when so many a second begin, round after round: pgbench_waits NAME RATE. Appends the 99th
# percentile of each, in milliseconds, to $output/NAME.p99.
pgbench_waits() {
    local round
    for ((round = 1; round <= ROUNDS; round++)); do
        PGOPTIONS='-c plan_cache_mode=force_custom_plan -c my_app.user_id=2' run "$output/$1-$round.txt" \
            pgbench --no-vacuum --protocol prepared --define hotels=$HOTELS --client $((pool - 1)) \
            --time $((2 * SECONDS_PER_ROUND)) --rate "$2" --log --log-prefix "$directory/$1-$round" \
            --random-seed $RANDOM --file $plain "$DATABASE_URL"
        # Its connections' first bookings read the catalogue; ours have done that.
        awk '$2 > 10 { print $3 / 1000 }' "$directory/$1-$round".* | sort -n |
            awk '{ value[NR] = $1 } END { print value[int(NR * 0.99) + 1] }' >>"$output/$1.p99"
    done
}

# Clients that pause, round after round: paced COMMAND NAME CLIENTS, where COMMAND is book or change. Appends a line per round to
# $output/NAME.rate, .p50, .p99 and .refused.
paced() {
    local round
    "$1" "$2-settling" "$3" 6
    for ((round = 1; round <= ROUNDS; round++)); do
        "$1" "$2-$round" "$3" $((2 * SECONDS_PER_ROUND))
        echo "$rate" >>"$output/$2.rate"
        echo "$p50" >>"$output/$2.p50"
        echo "$p99" >>"$output/$2.p99"
        reported refused "$2-$round" >>"$output/$2.refused"
    done
}

plain=Benchmarks/pgbench/booking.sql
for ((round = 0; round <= ROUNDS; round++)); do
    book booking-ours-$round 16 "$SECONDS_PER_ROUND"
    ours=$rate
    peers=$(pgbench_books booking-pgbench-$round "$SECONDS_PER_ROUND" $plain)
    # Round 0 warms up and does not count.
    [ $round != 0 ] || continue
    echo "$ours" >>"$output/booking-ours.rate"
    echo "$peers" >>"$output/booking-pgbench.rate"
done
judge 'booking: bookings ÷ pgbench' "$(ratio booking-ours booking-pgbench)" '>= 0.8' '' \
    "$(short "$(median_of booking-ours.rate)")/s, pgbench $(short "$(median_of booking-pgbench.rate)")/s"
book booking-hundred 100 $((ROUNDS * SECONDS_PER_ROUND))
inform 'booking: p50, without pause' "$p50" ms "100 clients, $(short "$rate")/s"
inform 'booking: p99, without pause' "$p99" ms "$(reported refused booking-hundred) found no room"
PAUSE=$(pause 100 "$rate")
export PAUSE
paced book booking-paced 100
unset PAUSE
rate=$(median_of booking-paced.rate)
# A refusal is less work: with many of them the percentiles would be of something else.
judge 'booking: p99' "$(median_of booking-paced.p99)" '< 50' ms \
    "100 clients, $(short "$rate")/s, $(sum_of booking-paced.refused) refused"
inform 'booking: p99 of the slowest round' "$(highest_of booking-paced.p99)" ms
pgbench_waits booking-pgbench-paced "$rate"
inform 'booking: p99 of pgbench at this rate' "$(median_of booking-pgbench-paced.p99)" ms 'the database alone'
inform 'booking: p50' "$(median_of booking-paced.p50)" ms

# Changes of what was booked: of as many bookings as there are clients, each of its own, its dates to and fro.
export CHANGED=$directory/changed.txt
psql --no-psqlrc --quiet --tuples-only --no-align --field-separator ' ' --dbname "$DATABASE_URL" --command "
    SELECT DISTINCT ON (hotel_id) booking_id, version, arrival, arrival + 1, arrival + 2 FROM drawbridge.bookings
    WHERE status = 'confirmed' AND client <> 'bench' ORDER BY hotel_id, arrival DESC" >"$CHANGED"
change() {
    wrk_script=change load "$1" "$2" "$3" "$bookings" \
        --header "Authorization: Bearer $BOOKING_ENGINE_TOKEN"
}
change booking-change 16 $((ROUNDS * SECONDS_PER_ROUND))
inform 'booking: change p99, without pause' "$p99" ms "16 clients, $(short "$rate")/s"
PAUSE=$(pause 16 "$rate")
export PAUSE
paced change booking-change-paced 16
unset PAUSE
judge 'booking: change p99' "$(median_of booking-change-paced.p99)" '< 30' ms \
    "16 clients, $(short "$(median_of booking-change-paced.rate)")/s, $(sum_of booking-change-paced.refused) refused"
inform 'booking: change p99 of the slowest round' "$(highest_of booking-change-paced.p99)" ms
inform 'booking: change p50' "$(median_of booking-change-paced.p50)" ms
