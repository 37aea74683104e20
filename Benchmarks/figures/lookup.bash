# The index alone, without HTTP.

"$programs/bench-availability" >"$output/lookup.txt"
nanoseconds() { sed -n "s/^$1 rooms.* $2 nights: \([0-9]*\) ns.*/\1/p" "$output/lookup.txt"; }
judge 'lookup: 20 rooms, 7 nights' "$(nanoseconds 20 7)" '< 2000' ns
judge 'lookup: 300 rooms, 30 nights' "$(nanoseconds 300 30)" '< 20000' ns
