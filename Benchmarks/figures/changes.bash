# A change at the front desk until the next answer shows it: committed in the PMS, heard of by its log, read, asked for
# through gateway and bridge.

start_drawbridge 2 3
changes=$((ROUNDS * 50))
run "$output/changes.txt" env DATABASE_URL="$DATABASE_URL" BOOKING_ENGINE_TOKEN="$BOOKING_ENGINE_TOKEN" \
    "$programs/bench-changes" "${plain_url##*:}" "$HOTEL_ID" "$changes"
inform 'changes: p50' "$(reported p50 changes)" ms
judge 'changes: p99' "$(reported p99 changes)" '< 250' ms "$changes changes, one after the other"
