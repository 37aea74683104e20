# A hotel that was not known: 300 rooms, 100,000 past reservations. From the trigger that makes it known to the answer of that
# trigger, as the bridge took the time: what it is, what it sells, what is free; and what is free alone, each time read anew.

start_drawbridge 1 3
psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --dbname "$DATABASE_URL" --file Benchmarks/pgbench/cold.sql >/dev/null

# Milliseconds that a trigger says it took, on a line of their own: trigger WHAT BODY
trigger() {
    curl --silent --fail --header "Authorization: Bearer $ADMIN_API_KEY" --header 'Content-Type: application/json' \
        --data "$2" "$plain_url/api/booking-engine/cache/$1" | sed -n 's/.*"duration_ms":\([0-9]*\).*/\1/p'
    echo
}

whole=$(trigger update-hotels '{"hotel_ids":[900]}')
[ -n "$whole" ] || fail 'cold: the hotel did not become known'
for ((round = 0; round < ROUNDS; round++)); do trigger refresh-availability '{"hotel_id":900}'; done | grep . >"$output/cold.ms"
inform 'cold: hotel, with all it sells' "$whole" ms '300 rooms, 100,000 past reservations'
judge 'cold: what is free at it' "$(median_of cold.ms)" '< 100' ms '300 rooms, 100,000 past reservations'
