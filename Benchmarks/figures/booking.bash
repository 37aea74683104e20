# Bookings of 16 clients over many hotels and days, each a transaction that PostgreSQL writes to disk. No bound is set.

export HOTELS=100 RUN=$$
start_drawbridge 2 $HOTELS
wrk_script=booking
load booking 16 $((ROUNDS * SECONDS_PER_ROUND)) "$plain_url/api/booking-engine/bookings" \
    --header "Authorization: Bearer $BOOKING_ENGINE_TOKEN"
unset wrk_script
detail="16 clients, $HOTELS hotels"
inform 'booking: bookings' "$rate" /s "$detail"
inform 'booking: p50' "$p50" ms
inform 'booking: p99' "$p99" ms "$(reported refused booking) found no room"
