# A gateway's work beside its peers': an RS256 token, a limit for each client, a line for each request; then forwarding
# over a unix socket to the backend that all share. 256 clients in turn, no TLS, two workers or threads on the same cores
# (our bridge, ledger and database run there, too). With four cores the backend and wrk have cores of their own.
#
# | | Drawbridge | HAProxy 2.6 | Envoy |
# |---|---|---|---|
# | token | signature, alg, kid, iss, aud, times, typ | signature, alg, iss, aud, exp | signature, alg, kid, iss, aud, times |
# | checked again | remembered | each time: it has no memory for it | remembered (jwt_cache_config) |
# | limit | by client and by address, over both workers | by subject, over both threads | by subject, over both threads |
# | log | two records in the ledger, acknowledged before the answer; access log | a line | a line |
# | besides | scopes, hotel, parameters by schema, proof for the bridge, RateLimit, request id, traceparent, Via | – | – |
#
# The firewall is off: neither peer has one.

. Benchmarks/tokens.bash
Scripts/python-tools --bench
make_tokens 256
export TOKENS=$tokens
gateway_cores=$(core 0),$(core 1)

# What one client may ask for in a second. 256 clients in turn are far from it, one alone is not.
client_limit=1000

start_backend

# Believes the run's issuer, limits clients, and does without the firewall.
change_policies() {
    sed -i "s|socket: run/bridge.sock|socket: $backend|" "$1/gateway.yaml"
    sed -i 's/^mode: On.*/mode: Off/' "$1/firewall.yaml"
    sed -i "/name: client$/,/by:/ s/\(burst\|requests\): .*/\1: $client_limit/" "$1/rate-limits.yaml"
    cat >>"$1/issuers.yaml" <<END
  - issuer: $issuer
    audience: drawbridge
    keys:
      - { kid: bench, algorithm: RS256, file: $directory/issuer.public.pem }
END
}
drawbridge_cores=$gateway_cores
start_drawbridge 2 3 change_policies
drawbridge_process=${processes[-1]}
unset drawbridge_cores

haproxy=$(free_port)
start_haproxy haproxy "$gateway_cores" "
frontend clients
    bind 127.0.0.1:$haproxy
    log global
    option httplog
    http-request set-var(txn.token) http_auth_bearer
    http-request set-var(txn.alg) var(txn.token),jwt_header_query('\$.alg')
    http-request set-var(txn.iss) var(txn.token),jwt_payload_query('\$.iss')
    http-request set-var(txn.aud) var(txn.token),jwt_payload_query('\$.aud')
    http-request set-var(txn.exp) var(txn.token),jwt_payload_query('\$.exp','int')
    http-request set-var(txn.sub) var(txn.token),jwt_payload_query('\$.sub')
    http-request set-var(txn.now) date
    http-request return status 401 unless { var(txn.alg) -m str RS256 }
    http-request return status 401 unless { var(txn.iss) -m str $issuer }
    http-request return status 401 unless { var(txn.aud) -m str drawbridge }
    http-request return status 401 unless { var(txn.exp),sub(txn.now) -m int gt 0 }
    http-request return status 401 unless { var(txn.token),jwt_verify(txn.alg,\"$directory/issuer.public.pem\") -m int 1 }
    http-request track-sc0 var(txn.sub) table clients
    http-request return status 429 if { sc0_http_req_rate(clients) gt $client_limit }
    default_backend backend
backend clients
    stick-table type string len 64 size 100k expire 10s store http_req_rate(1s)
backend backend
    server backend unix@$backend pool-max-conn -1"
haproxy_process=${processes[-1]}

envoy=$(free_port)
cat >"$directory/envoy.yaml" <<END
static_resources:
  listeners:
    - name: clients
      address: { socket_address: { address: 127.0.0.1, port_value: $envoy } }
      filter_chains:
        - filters:
            - name: envoy.filters.network.http_connection_manager
              typed_config:
                "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
                stat_prefix: clients
                access_log:
                  - name: envoy.access_loggers.file
                    typed_config:
                      "@type": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog
                      path: $directory/envoy.access.log
                route_config:
                  virtual_hosts:
                    - name: all
                      domains: ["*"]
                      routes: [{ match: { prefix: / }, route: { cluster: backend } }]
                http_filters:
                  - name: envoy.filters.http.jwt_authn
                    typed_config:
                      "@type": type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication
                      providers:
                        bench:
                          issuer: $issuer
                          audiences: [drawbridge]
                          local_jwks: { inline_string: '$(key_set)' }
                          jwt_cache_config: { jwt_cache_size: 1024 }
                          claim_to_headers: [{ header_name: x-client, claim_name: sub }]
                      rules: [{ match: { prefix: / }, requires: { provider_name: bench } }]
                  - name: envoy.filters.http.local_ratelimit
                    typed_config:
                      "@type": type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit
                      stat_prefix: clients
                      filter_enabled: { default_value: { numerator: 100, denominator: HUNDRED } }
                      filter_enforced: { default_value: { numerator: 100, denominator: HUNDRED } }
                      token_bucket: { max_tokens: 1000000000, tokens_per_fill: 1000000000, fill_interval: 1s }
                      max_dynamic_descriptors: 1024
                      rate_limits: [{ actions: [{ request_headers: { header_name: x-client, descriptor_key: client } }] }]
                      descriptors:
                        - entries: [{ key: client }]
                          token_bucket:
                            { max_tokens: $client_limit, tokens_per_fill: $client_limit, fill_interval: 1s }
                  - name: envoy.filters.http.router
                    typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }
  clusters:
    - name: backend
      load_assignment:
        cluster_name: backend
        endpoints: [{ lb_endpoints: [{ endpoint: { address: { pipe: { path: $backend } } } }] }]
END
start envoy taskset --cpu-list "$gateway_cores" .build/bench-tools/bin/envoy \
    --config-path "$directory/envoy.yaml" --concurrency 2 --log-level error --disable-hot-restart
envoy_process=${processes[-1]}

drawbridge_lines() { grep -c '"message":"request"' "$directory/drawbridge.log"; }
haproxy_lines() { grep -c 'GET /api/' "$directory/haproxy.log"; }
envoy_lines() { grep -c 'GET /api/' "$directory/envoy.access.log"; }

# Whether a contender does what it is measured for: no token and a forged one are answered 401, one client who asks too
# much 429, and nobody else; each request leaves a line in the log. verify NAME URL
verify() {
    local token=$(head -n 1 "$tokens") before answered lines patience
    await_answer "$2" --header "Authorization: Bearer $token"
    status_is 401 "$2"
    status_is 401 "$2" --header "Authorization: Bearer ${token%????????}AAAAAAAA"
    before=$("$1_lines")
    head -n 1 "$tokens" >"$directory/token"
    TOKENS=$directory/token load_refused "gateway-$1-limit" "$2"
    [ "$limited" -gt 0 ] && [ "$ok" -ge $((client_limit / 2)) ] && [ "$ok" -le $((client_limit * 4)) ] && [ "$others" = 0 ] ||
        fail "gateway: $1 answered one client's requests $ok times 200, $limited times 429, $others times otherwise"
    # Envoy writes its lines every ten seconds, or when there are many.
    answered=$((ok + limited))
    for ((patience = 0; patience < 150; patience++)); do
        lines=$(($("$1_lines") - before))
        # HAProxy drops lines when the pipe is full; a few in a thousand do not change the work.
        [ $((lines * 100)) -lt $((answered * 99)) ] || return 0
        sleep 0.1
    done
    fail "gateway: $1 logged $lines lines of $answered requests"
}

# Counts what is refused, in one second: load_refused NAME URL; sets `ok`, `limited`, `others`.
load_refused() {
    run "$output/$1.txt" wrk --threads 1 --connections 64 --duration 1s --script "$wrk_scripts/refusals.lua" "$2"
    ok=$(reported ok "$1")
    limited=$(reported limited "$1")
    others=$(reported others "$1")
}

availability_url "$plain_url"
contenders=("drawbridge $url")
for peer in haproxy envoy; do
    availability_url "http://127.0.0.1:${!peer}"
    contenders+=("$peer $url")
done
for contender in "${contenders[@]}"; do verify $contender; done

declare -A used
for contender in drawbridge haproxy envoy; do
    process=${contender}_process
    used[$contender]=$(ticks "${!process}")
done
records=$(metric drawbridge_ledger_records_total)
wrk_cores=$(core_beside 3)
wrk_script=tokens
rounds gateway 64 "${contenders[@]}"
unset wrk_cores wrk_script
records=$(($(metric drawbridge_ledger_records_total) - records))
for contender in drawbridge haproxy envoy; do
    process=${contender}_process
    used[$contender]=$(($(ticks "${!process}") - ${used[$contender]}))
done

# Two records for each request of ours, whose number wrk knows.
answered=$(cat "$output"/gateway-drawbridge-[0-9]*.txt | awk '/^report requests/ { sum += $3 } END { print sum }')
[ "$records" -ge $((2 * answered)) ] || fail "gateway: $records records of $answered requests"

our_rate=$(short "$(median_of gateway-drawbridge.rate)")
detail() { echo "$our_rate/s : $(short "$(median_of "gateway-$1.rate")")/s"; }
judge 'gateway: RS256, limit, ledger ÷ HAProxy' "$(ratio gateway-drawbridge gateway-haproxy)" '>= 1.3' × \
    "$(detail haproxy)"
inform 'gateway: RS256, limit, ledger ÷ Envoy' "$(ratio gateway-drawbridge gateway-envoy)" × "$(detail envoy)"
for contender in drawbridge haproxy envoy; do
    # In all its processes, ours of the ledger and of the bridge included; wrk and the backend are not.
    inform "gateway: processor time, $contender" "$(microseconds "gateway-$contender" "${used[$contender]}")" µs \
        "p99 $(short "$(median_of "gateway-$contender.p99")") ms"
done
