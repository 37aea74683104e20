# Loads, medians, and the table of results.

describe_machine() {
    local model
    model=$(sed -n 's/^model name\s*: //p' /proc/cpuinfo | head -n 1)
    echo "machine: $(nproc) cores of ${model:-unknown}, $(awk '/MemTotal/ { print int($2 / 1048576 + 0.5) }' /proc/meminfo) GiB"
    echo "load average before: $(cut -d ' ' -f 1-3 /proc/loadavg)"
    echo "commit: $(git rev-parse --short HEAD 2>/dev/null || echo unknown)$([ -z "$(git status --porcelain 2>/dev/null)" ] || echo ' with changes')"
    echo "disk: $(df --output=fstype "$directory" | tail -n 1) under the ledger"
    echo "peers: $(nginx -v 2>&1 | sed 's/.*: //'), haproxy/$(haproxy -v | sed -n '1s/HAProxy version \([^ ]*\).*/\1/p')," \
        "libmodsecurity/$(dpkg-query --show --showformat '${Version}' libmodsecurity3)," \
        "modsecurity-crs/$(dpkg-query --show --showformat '${Version}' modsecurity-crs)," \
        "$({ wrk -v 2>&1 || true; } | awk 'NR == 1 { print $1 "/" $2 }')"
    echo "rounds: $ROUNDS of $SECONDS_PER_ROUND s"
}

# Loads a URL and keeps what wrk says as NAME.txt: load NAME CONNECTIONS SECONDS URL [WRK-ARGUMENT …]
#
# `wrk_cores` says where wrk runs, anywhere by default, `wrk_script` which script asks and reports. Sets `requests`, `rate`
# (a second), `p50` and `p99` (milliseconds). Any error or refusal, such as a 429, ends the run: what did not work was not
# measured.
load() {
    local name=$1 connections=$2 seconds=$3 url=$4 errors
    shift 4
    run "$output/$name.txt" taskset --cpu-list "${wrk_cores:-$(cores | paste -s -d ,)}" \
        wrk --threads 1 --connections "$connections" --duration "${seconds}s" --timeout 10s \
        --script "$wrk_scripts/${wrk_script:-report}.lua" "$@" "$url"
    errors=$(reported errors "$name")
    [ "$errors" = 0 ] || fail "$name: $errors requests failed"
    requests=$(reported requests "$name")
    rate=$(reported rate "$name")
    p50=$(reported p50 "$name")
    p99=$(reported p99 "$name")
}

# What a wrk script reported: reported KEY NAME
reported() { sed -n "s/^report $1 //p" "$output/$2.txt" | grep . || fail "$2: wrk reported no $1"; }

# Loads each contender in turn, every round: rounds FIGURE CONNECTIONS 'NAME URL [SCRIPT]' … [-- WRK-ARGUMENT …]
#
# The order turns round each time, so that nobody always comes after the same one. SCRIPT takes the place of `wrk_script`. Appends a line per round to $output/FIGURE-NAME.rate, .p50 and .p99.
rounds() {
    local figure=$1 connections=$2 round contender name url script contenders=() reversed
    shift 2
    while [ $# != 0 ] && [ "$1" != -- ]; do contenders+=("$1") && shift; done
    [ $# = 0 ] || shift
    # Round 0 warms up and does not count.
    for ((round = 0; round <= ROUNDS; round++)); do
        for contender in "${contenders[@]}"; do
            read -r name url script <<<"$contender"
            name=$figure-$name
            wrk_script=${script:-${wrk_script-}} load "$name-$round" "$connections" $((round ? SECONDS_PER_ROUND : 1)) "$url" "$@"
            [ $round != 0 ] || continue
            echo "$rate" >>"$output/$name.rate"
            echo "$p50" >>"$output/$name.p50"
            echo "$p99" >>"$output/$name.p99"
        done
        reversed=()
        for contender in "${contenders[@]}"; do reversed=("$contender" "${reversed[@]}"); done
        contenders=("${reversed[@]}")
    done
}

# The pause, in milliseconds, with which so many clients ask for half of a rate: pause CLIENTS RATE
pause() { awk "BEGIN { printf \"%d\", 2000 * $1 / $2 }"; }

# Processor time that a process and all its descendants have used, in clock ticks: ticks PID
ticks() {
    local child sum
    sum=$(awk '{ print $14 + $15 }' "/proc/$1/stat")
    for child in $(pgrep --parent "$1"); do sum=$((sum + $(ticks "$child"))); done
    echo "$sum"
}

# Microseconds of processor time for each request of a contender, in all its rounds: microseconds FIGURE-NAME TICKS
microseconds() {
    awk -v ticks="$2" -v hertz="$(getconf CLK_TCK)" \
        '/^report requests/ { sum += $3 } END { print ticks * 1e6 / hertz / sum }' "$output/$1"-[0-9]*.txt
}

# The median of the numbers in the lines of standard input.
median() { sort -n | awk '{ value[NR] = $1 } END { print (value[int((NR + 1) / 2)] + value[int(NR / 2) + 1]) / 2 }'; }

# The median of a file of numbers: median_of NAME
median_of() { median <"$output/$1"; }

# The highest of a file of numbers: highest_of NAME
highest_of() { sort -n "$output/$1" | tail -n 1; }

# The sum of a file of numbers: sum_of NAME
sum_of() { awk '{ sum += $1 } END { print sum + 0 }' "$output/$1"; }

# The median of the rounds' ratios: ratio OURS PEER
ratio() { paste "$output/$1.rate" "$output/$2.rate" | awk '{ print $1 / $2 }' | median; }

table=()

# Notes a figure that has a bound: judge LABEL VALUE 'COMPARISON BOUND' UNIT DETAIL
judge() {
    local verdict
    verdict=$(awk -v value="$2" "BEGIN { print (value $3) ? \"ok\" : \"MISS\" }")
    table+=("$(printf '%-44s %9s %-6s %-9s %-28s %s' "$1" "$(short "$2")" "$4" "${3/>=/≥}" "${5-}" "$verdict")")
}

# Notes a figure that has none: inform LABEL VALUE UNIT DETAIL
inform() { table+=("$(printf '%-44s %9s %-6s %-9s %-28s %s' "$1" "$(short "$2")" "$3" - "${4-}" -)"); }

# A number with as many digits as matter.
short() { awk -v value="$1" 'BEGIN { print (value >= 1000 ? sprintf("%d", value) : sprintf("%.3g", value)) }'; }

print_results() {
    printf '%-44s %9s %-6s %-9s %-28s %s\n' figure measured unit asked detail verdict
    printf '%s\n' "${table[@]}"
}

# The resident memory of a process in kibibytes: resident PID
resident() { awk '/^VmRSS:/ { print $2 }' "/proc/$1/status"; }

# Kibibytes as mebibytes: mebibytes KIBIBYTES
mebibytes() { awk "BEGIN { printf \"%.1f\", $1 / 1024 }"; }
