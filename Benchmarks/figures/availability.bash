# The whole way: gateway, bridge, index; a week in one hotel, with a token: 100 connections, plain and over TLS, and 2,000;
# and what the hotel is.

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

for way in plain tls hotel crowd; do
    inform "availability: requests, $way" "$(median_of "availability-$way.rate")" /s
    inform "availability: p50, $way" "$(median_of "availability-$way.p50")" ms
done
judge 'availability: p99, plain' "$(median_of availability-plain.p99)" '< 5' ms '100 connections, 7 nights'
judge 'availability: p99, tls' "$(median_of availability-tls.p99)" '< 20' ms '100 connections, 7 nights'
judge 'availability: p99, crowd' "$(median_of availability-crowd.p99)" '< 200' ms '2,000 connections, 7 nights'
judge 'availability: hotel p99' "$(median_of availability-hotel.p99)" '< 5' ms '100 connections'
