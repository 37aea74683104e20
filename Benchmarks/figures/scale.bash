# A bridge with 10,000 hotels of 5 room types and 530 nights: how long it takes to load them, reading all that they are from
# the PMS or coming up from what was written down, and its memory.

start_drawbridge 1 3
psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --dbname "$DATABASE_URL" --file Benchmarks/pgbench/scale.sql >/dev/null

# The last of a number in the bridge's lines that hotels were loaded: loaded
loaded() { grep '"message":"hotels loaded"' "$directory/drawbridge.log" | sed -n 's/.*"milliseconds":\([0-9]*\).*/\1/p'; }

# Lets the bridge be started anew, and waits until it has loaded: restart_bridge; sets `bridge`, its process number
restart_bridge() {
    local before patience
    before=$(loaded | wc -l)
    bridge=$(sed -n 's/.*"process is ready","slot":"bridge","pid":\([0-9]*\).*/\1/p' "$directory/drawbridge.log" | tail -n 1)
    kill -KILL "$bridge"
    for ((patience = 0; patience < 1800; patience++)); do
        [ "$(loaded | wc -l)" = "$before" ] || break
        sleep 0.1
    done
    for ((patience = 0; patience < 100; patience++)); do
        bridge=$(sed -n 's/.*"process is ready","slot":"bridge","pid":\([0-9]*\).*/\1/p' "$directory/drawbridge.log" | tail -n 1)
        ! kill -0 "$bridge" 2>/dev/null || return 0
        sleep 0.1
    done
    fail 'scale: the bridge does not come back'
}

restart_bridge
first=$(loaded | tail -n 1)
hotels=$(metric drawbridge_bridge_hotels)
[ "$hotels" = 10003 ] || fail "scale: $hotels hotels were loaded"
inform 'scale: 10,000 hotels read from the PMS' "$(awk "BEGIN { print $first / 1000 }")" s
judge 'scale: bridge with 10,000 hotels, first' "$(mebibytes "$(resident "$bridge")")" '< 1024' MiB '5 types, 530 nights'
restart_bridge
inform 'scale: 10,000 hotels loaded again' "$(awk "BEGIN { print $(loaded | tail -n 1) / 1000 }")" s
judge 'scale: bridge with 10,000 hotels, again' "$(mebibytes "$(resident "$bridge")")" '< 1024' MiB '5 types, 530 nights'
