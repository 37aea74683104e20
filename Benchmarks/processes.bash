# Processes that a figure needs: on loopback and unix sockets, in one temporary directory, ended by their ids.

directory=$(mktemp -d)
processes=()

# Starts a command, known by a name: start NAME COMMAND [ARGUMENT …]
start() {
    local name=$1
    shift
    "$@" >"$directory/$name.log" 2>&1 &
    processes+=($!)
}

# Runs a command to its end, as one of those that are ended when the script is: run OUTPUT COMMAND [ARGUMENT …]
run() {
    local output=$1
    shift
    "$@" >"$output" 2>&1 &
    processes+=($!)
    wait $! || { tail -n 3 "$output" >&2 && fail "$* failed"; }
    unset 'processes[-1]'
}

# Ends what was started last: SIGTERM first, SIGKILL for what does not go.
end_last_process() {
    local pid=${processes[-1]} patience
    unset 'processes[-1]'
    kill "$pid" 2>/dev/null || return 0
    for ((patience = 0; patience < 400; patience++)); do
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.1
    done
    kill -KILL "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
}

# Ends all that was started, the last first, and removes their files.
end_processes() {
    while [ ${#processes[@]} != 0 ]; do end_last_process; done
    rm -rf "${directory:?}"/*
}

fail() {
    echo "$0: $*" >&2
    tail -n 3 "$directory"/*.log >&2 || true
    exit 70
}

# Below the ports the kernel gives to clients, and not listened on now.
free_port() {
    local port
    while
        port=$((20000 + RANDOM % 12000))
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null
    do :; done
    echo $port
}

# Waits until a request is answered: await_answer URL [CURL-ARGUMENT …]
await_answer() {
    local patience
    for ((patience = 0; patience < 100; patience++)); do
        ! curl --silent --fail --output /dev/null --max-time 1 "$@" || return 0
        sleep 0.1
    done
    fail "no answer from $1"
}

# Ends the run unless a request is so answered: status_is STATUS URL [CURL-ARGUMENT …]
status_is() {
    local status
    status=$(curl --silent --output /dev/null --write-out '%{http_code}' "${@:2}")
    [ "$status" = "$1" ] || fail "$status and not $1: ${*:2}"
}

# The cores this run may use, one after the other.
cores() {
    taskset --cpu-list --pid $$ | sed 's/.*: //; s/,/\n/g' | while IFS=- read -r first last; do
        seq "$first" "${last:-$first}"
    done
}

# The n-th of those cores, starting again when there are fewer: core 0
core() {
    local all
    mapfile -t all < <(cores)
    echo "${all[$1 % ${#all[@]}]}"
}

# Where what is not measured runs: on the n-th core, or on all where there are fewer than four. With two, whoever is tied to
# one of them would crowd out the process that the kernel has put there: core_beside 2
core_beside() {
    if [ "$(cores | wc -l)" -ge 4 ]; then core "$1"; else cores | paste -s -d ,; fi
}

# nginx, with the given text in its `http` block: start_nginx NAME CORES WORKERS TEXT [MODULE]
start_nginx() {
    local home=$directory/$1
    mkdir "$home"
    {
        # As root nginx would become a user who cannot reach sockets in our directory.
        [ "$(id -u)" != 0 ] || echo 'user root;'
        cat <<END
daemon off;
${5:+load_module $5;}
worker_processes $3;
pid $home/nginx.pid;
error_log stderr crit;
events { worker_connections 4096; }
http {
    access_log off;
    keepalive_requests 1000000000;
    client_body_temp_path $home; proxy_temp_path $home; fastcgi_temp_path $home;
    uwsgi_temp_path $home; scgi_temp_path $home;
    $4
}
END
    } >"$home/nginx.conf"
    start "nginx-$1" taskset --cpu-list "$2" nginx -e stderr -p "$home" -c "$home/nginx.conf"
}

# An answer of 250 bytes in nginx's configuration: the same that bench-server gives.
fixed_answer() {
    printf 'default_type application/json; location / { return 200 '\''{"hotel_id":1,"pad":"%s"}'\''; }' \
        "$(printf 'x%.0s' $(seq 227))"
}

# HAProxy with two threads, its log on standard output, and the given sections: start_haproxy NAME CORES TEXT
start_haproxy() {
    cat >"$directory/$1.cfg" <<END
global
    nbthread 2
    maxconn 4096
    log stdout format raw local0 info
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    http-reuse always
$3
END
    start "$1" taskset --cpu-list "$2" haproxy -db -f "$directory/$1.cfg"
}

# The backend that all share which only forward: a fixed answer on a unix socket, and on a port of its own, with a core of
# its own where there are more than two. Sets `backend`, its socket, and `backend_url`.
#
# What a gateway asks of the bridge for itself goes on to the installation's own bridge, where there is one.
start_backend() {
    local port
    backend=$directory/backend.sock
    port=$(free_port)
    backend_url=http://127.0.0.1:$port
    start_nginx backend "$(core_beside 2)" 1 "
        server {
            listen unix:$backend backlog=1024;
            listen 127.0.0.1:$port;
            location /drawbridge/ { proxy_pass http://unix:$directory/home/run/bridge.sock; proxy_read_timeout 60s; }
            $(fixed_answer)
        }"
    await_answer "$backend_url/"
}

# `drawbridge up` in a home of its own, with a plain listener beside the secured one:
# start_drawbridge WORKERS HOTELS [CHANGE]
#
# CHANGE is a function that is given the directory of the policies before they are read. Limits are raised so far that
# no load of ours reaches them: each request is counted, and none refused. All other policies are as they come, the
# firewall, the ledger and the access log (a file here) included.
#
# Sets `plain_url` and, from demo.env, GATEWAY_URL, ADMIN_URL, HOTEL_ID and BOOKING_ENGINE_TOKEN.
start_drawbridge() {
    local port patience
    port=$(free_port)
    plain_url=http://127.0.0.1:$port
    cp -r Policies "$directory/policies"
    # All connections come from one address here.
    sed -i 's/^\(  maximum_connections_per_address:\) [0-9]*/\1 1000000/' "$directory/policies/gateway.yaml"
    sed -i "/^  - name: admin/i\\  - { name: plain, address: '127.0.0.1:$port' }" "$directory/policies/gateway.yaml"
    sed -i 's/^    \(burst\|requests\): .*/    \1: 1000000000/' "$directory/policies/rate-limits.yaml"
    ${3:-:} "$directory/policies"
    mkdir "$directory/home"
    chmod 711 "$directory"
    start drawbridge taskset --cpu-list "${drawbridge_cores:-$(cores | paste -s -d ,)}" \
        env --unset=DATABASE_URL DRAWBRIDGE_HOME="$directory/home" DRAWBRIDGE_PORT=0 \
        DRAWBRIDGE_ADMIN_PORT=0 "$programs/drawbridge" up --config "$directory/policies" --workers "$1" \
        --demo-hotels "$2"
    for ((patience = 0; patience < 1200; patience++)); do
        ! grep -qs '^drawbridge is ready' "$directory/drawbridge.log" || break
        kill -0 "${processes[-1]}" 2>/dev/null || fail 'drawbridge does not start'
        sleep 0.1
    done
    . "$directory/home/demo.env"
}

# The sum of a metric over the node's processes: metric PATTERN, such as drawbridge_ledger_records_total
metric() {
    curl --silent --fail "$ADMIN_URL/metrics" | awk -v pattern="^$1[{ ]" '$0 ~ pattern { sum += $NF } END { print sum + 0 }'
}

# What a booking engine asks most: rooms for a week in two weeks' time: availability_url GATEWAY; sets `url`.
availability_url() {
    local arrival departure
    arrival=$(date --utc --date '14 days' +%F)
    departure=$(date --utc --date '21 days' +%F)
    url="$1/api/booking-engine/availability/$HOTEL_ID?start_date=$arrival&end_date=$departure"
}
