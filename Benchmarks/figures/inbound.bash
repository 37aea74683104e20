# Webhooks that a vendor sends to us: each checked, inspected, in the ledger and on PostgreSQL's disk before it is answered, while
# those before it are acted on, which reads from the PMS what is free at their hotels.
#
# The percentiles that are asked for are those of 32 senders that pause between their messages, so long that together they send
# half as many as could be taken (see booking.bash), for as long as all rounds take.

export HOTELS=20 RUN=$$
head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n' >"$directory/bench.secret"
take_bench() {
    cat >>"$1/inbound.yaml" <<END
  - name: bench
    hotel_ids: "*"
    url_secret: {files: [$directory/bench.secret]}
    identified_by: {member: /id}
    hotel: {member: /propertyID}
    refresh: availability
END
}
start_drawbridge 2 $HOTELS take_bench
inbound=$plain_url/api/webhooks/inbound/bench?secret=$(cat "$directory/bench.secret")

RUN=$$-warm wrk_script=inbound load inbound-warm 32 "$SECONDS_PER_ROUND" "$inbound"
RUN=$$-full wrk_script=inbound load inbound-full 32 $((ROUNDS * SECONDS_PER_ROUND)) "$inbound"
inform 'inbound: taken, without pause' "$rate" /s "32 senders"
inform 'inbound: p99, without pause' "$p99" ms
PAUSE=$(pause 32 "$rate")
export PAUSE
RUN=$$-paced wrk_script=inbound load inbound-paced 32 $((ROUNDS * SECONDS_PER_ROUND)) "$inbound"
unset PAUSE
judge 'inbound: p99' "$p99" '< 100' ms "32 senders, $(short "$rate")/s"
inform 'inbound: p50' "$p50" ms "$(short "$(metric drawbridge_bridge_inbound_waiting)") wait to be acted on"
