# The whole way: gateway, bridge, index; a week in one hotel, 100 connections, with a token, plain and over TLS.

start_drawbridge 2 3
availability_url "$plain_url"
plain=$url
availability_url "$GATEWAY_URL"
tls=$url

rounds availability 100 "plain $plain" "tls $tls" -- \
    --header "Authorization: Bearer $BOOKING_ENGINE_TOKEN"

for way in plain tls; do
    inform "availability: requests, $way" "$(median_of "availability-$way.rate")" /s
    inform "availability: p50, $way" "$(median_of "availability-$way.p50")" ms
    judge "availability: p99, $way" "$(median_of "availability-$way.p99")" '< 20' ms '100 connections, 7 nights'
done
