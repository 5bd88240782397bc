#!/bin/sh
# async_log_test.sh ASYNC_LOG: written and dropped lines are all lines, and each thread's are in order.
set -eu
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
log=$directory/log

check() { # THREADS LINES
    "$1" "$log" "$2" "$3"
    awk -v all=$(($2 * $3)) '
        /^thread [0-9]+ line [0-9]+: [a-z ]*$/ {
            if ($4 + 0 <= last[$2] + 0) { print "out of order: " $0; bad = 1 }
            last[$2] = $4 + 0
            written++
            next
        }
        /^\([0-9]+ lines dropped\)$/ { dropped += substr($1, 2); next }
        { print "not a line that was logged: " $0; bad = 1 }
        END {
            if (written + dropped != all) { print written " + " dropped " are not " all; bad = 1 }
            exit bad
        }' "$log"
}

check "$1" 1 1
check "$1" 1 30000
check "$1" 4 50000
check "$1" 16 5000
