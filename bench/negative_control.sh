#!/bin/sh
# The checks of ringbench are worth something only if they find a broken queue: one that drops,
# repeats or tears one item in a million has to fail its row, and the run with it; of large items and
# batches one in a thousand.
#
#   negative_control.sh RINGBENCH
set -eu

log=$(mktemp "${TMPDIR:-/tmp}/ringbench-XXXXXX")
trap 'rm -f "$log"' EXIT

if "$1" --negative-control --quick >"$log" 2>&1; then
    cat "$log"
    echo "ringbench passed with broken queues" >&2
    exit 1
fi
for row in control/item:8/drop control/item:8/repeat control/item:8/tear control/item:256/flip \
    control/batch:64/drop_batch control/many/drop_many control/many/repeat_many; do
    if ! grep "^$row failed: " "$log"; then
        cat "$log"
        echo "$row did not fail" >&2
        exit 1
    fi
done
