# The whole way: gateway, bridge, index; a week in one hotel, with a token: 100 connections, plain and over TLS, and 2,000;
# and what the hotel is.
#
# For 100 connections that never pause each answer takes 100 divided by the rate, whoever answers, and two cores carry wrk as
# well. That is told; over TLS it is what is asked for, as it is for 2,000. The other percentiles that are asked for are those of 100
# connections that pause, so long that together they ask for half of that rate, as in figures/booking.bash.

ulimit -n 16384 2>/dev/null || ulimit -n "$(ulimit -H -n)"
start_drawbridge 2 3
availability_url "$plain_url"
plain=$url
availability_url "$GATEWAY_URL"
tls=$url
hotel=$plain_url/api/booking-engine/hotels/$HOTEL_ID
authorization=(--header "Authorization: Bearer $BOOKING_ENGINE_TOKEN")

rounds availability 100 "plain $plain" "tls $tls" "hotel $hotel" -- "${authorization[@]}"
rounds availability 2000 "crowd $plain" -- "${authorization[@]}"
for way in plain hotel; do
    PAUSE=$(pause 100 "$(median_of "availability-$way.rate")")
    export PAUSE
    rounds availability-paced 100 "$way ${!way}" -- "${authorization[@]}"
    unset PAUSE
done

for way in plain tls hotel crowd; do
    inform "availability: requests, $way" "$(median_of "availability-$way.rate")" /s
    inform "availability: p50, $way" "$(median_of "availability-$way.p50")" ms
done
for way in plain hotel; do
    inform "availability: p99, $way, without pause" "$(median_of "availability-$way.p99")" ms '100 connections'
    judge "availability: p99, $way" "$(median_of "availability-paced-$way.p99")" '< 5' ms \
        "100 connections, $(short "$(median_of "availability-paced-$way.rate")")/s"
done
judge 'availability: p99, tls' "$(median_of availability-tls.p99)" '< 20' ms '100 connections, 7 nights'
judge 'availability: p99, crowd' "$(median_of availability-crowd.p99)" '< 200' ms '2,000 connections, 7 nights'
