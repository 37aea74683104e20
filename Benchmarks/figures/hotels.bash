# A thousand demo hotels in a fresh installation: from `drawbridge up --demo-hotels 1000` with an empty home, through
# making the cluster and loading each hotel's partitions, rooms, plans, rates and reservations, to a bridge that has read
# them all and gateways that serve.

hotels=1000
begun=$EPOCHREALTIME
start_drawbridge 2 $hotels
ready=$EPOCHREALTIME
loading=$(sed -n 's/.*"loaded demo hotels","hotels":'$hotels',"seconds":\([0-9.]*\).*/\1/p' "$directory/drawbridge.log")
[ -n "$loading" ] || fail "hotels: $hotels were not loaded at once"
HOTEL_ID=$hotels availability_url "$plain_url"
status_is 200 "$url" --header "Authorization: Bearer $BOOKING_ENGINE_TOKEN"
judge "hotels: $hotels loaded, and all ready" "$(awk "BEGIN { print $ready - $begun }")" '< 60' s \
    "the loading itself: $loading s"
