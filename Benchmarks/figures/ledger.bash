# The ledger's process alone on one core, its load on another: what its socket takes, and how long a commit to the disk
# takes under load. What it costs a worker to write a record down.

"$programs/bench-ledger" encode >"$output/ledger-encode.txt"
encoding() { sed -n "s/^$1: \([0-9]*\) ns.*/\1/p" "$output/ledger-encode.txt"; }
judge 'ledger: writing down a decision' "$(encoding decision)" '< 1500' ns
judge 'ledger: writing down an outcome' "$(encoding outcome)" '< 1500' ns

mkdir -p "$directory/home/run" "$directory/home/ledger" "$directory/policies"
cat >"$directory/policies/gateway.yaml" <<END
listeners:
  - { name: public, address: '127.0.0.1:0' }
  - { name: admin, address: '127.0.0.1:0' }
upstream: { socket: run/bridge.sock }
END
start ledger taskset --cpu-list "$(core 0)" "$programs/drawbridge-ledger" --config "$directory/policies" \
    --home "$directory/home"
ledger=${processes[-1]}
for ((patience = 0; patience < 100; patience++)); do
    ! grep -qs '"ledger opened"' "$directory/ledger.log" || break
    sleep 0.1
done

# Clock ticks of the processor that the ledger has used.
ledger_ticks() { awk '{ print $14 + $15 }' "/proc/$ledger/stat"; }

# Loads the ledger: load_ledger NAME written|synced RECORDS-ON-THEIR-WAY
load_ledger() {
    local round before
    for ((round = 0; round < ROUNDS; round++)); do
        before=$(ledger_ticks)
        run "$output/ledger-$1.txt" taskset --cpu-list "$(core 1)" "$programs/bench-ledger" \
            "$directory/home/run/ledger.sock" "$SECONDS_PER_ROUND" "$2" "$3"
        sed -n 's|^\([0-9]*\) records/s.*|\1|p' "$output/ledger-$1.txt" >>"$output/ledger-$1.rate"
        sed -n 's|.*p99 \([0-9.]*\) ms.*|\1|p' "$output/ledger-$1.txt" >>"$output/ledger-$1.p99"
        # What one core would do if it had nothing to wait for: the disk's pace is not the program's.
        awk -v ticks=$(($(ledger_ticks) - before)) -v hertz="$(getconf CLK_TCK)" \
            '{ print $(NF - 1) * hertz / ticks }' "$output/ledger-$1.txt" >>"$output/ledger-$1.capacity"
    done
}

load_ledger written written 4096
load_ledger synced synced 64
judge 'ledger: records a core can take' "$(median_of ledger-written.capacity)" '>= 100000' /s \
    "$(short "$(median_of ledger-written.rate)")/s with this disk"
judge 'ledger: group commit p99, 64 waiting' "$(median_of ledger-synced.p99)" '< 20' ms \
    "$(short "$(median_of ledger-synced.rate)")/s synced"

# What has come together is verified from disk, as a reviewer would: whatever there is, by bounded memory.
end_last_process
env DRAWBRIDGE_HOME="$directory/home" "$programs/drawbridge" audit verify >"$output/ledger-verify.txt" 2>&1 &
processes+=($!)
verify_start=$(date +%s%N) verify_memory=0
while kill -0 $! 2>/dev/null; do
    verify_memory=$(awk -v most="$verify_memory" '/^VmHWM:/ { most = $2 } END { print most }' "/proc/$!/status" 2>/dev/null || echo "$verify_memory")
    sleep 0.05
done
wait $! || fail 'the ledger does not verify'
unset 'processes[-1]'
verified=$(sed -n 's/^OK *\([0-9]*\) records.*/\1/p' "$output/ledger-verify.txt")
judge 'ledger: memory to verify all' "$(mebibytes "$verify_memory")" '< 128' MiB \
    "$(short "$verified") records, $(short "$(awk "BEGIN { print $verified * 1e9 / ($(date +%s%N) - $verify_start) }")")/s"
