#!/bin/sh
# counts.sh BUILD_DIR...: what the last run of CTest in each of these folders came to, side by side.
#
# The tests of the unit test programs are counted one by one, by their closing lines; stress, model
# and example programs as one each. Below come the reasons of those that were skipped, with their
# number on each platform.
set -eu

exec awk '
    function begin(file) {
        n = split(file, parts, "/")
        platform = parts[n - 3] # PLATFORM/Testing/Temporary/LastTest.log
        order[++platforms] = platform
    }
    function skip(reason) {
        gsub(/\/[0-9]+\//, "/N/", reason) # numbers of threads and processes
        if (!(reason in known)) {
            known[reason] = 1
            reasons[++reason_count] = reason
        }
        skips[reason, platform]++
    }

    FNR == 1 { begin(FILENAME) }
    { sub(/\r$/, "") }

    /^[0-9]+\/[0-9]+ Test: / { name = $3 }
    /^Test Passed\./ && name ~ /^(stress|model|example)/ { programs[platform]++ }
    /^Test (Failed|Passed Unexpectedly|Timed Out|Not Run)/ { bad[platform]++ }

    # The harness, and Criterion.
    /^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$/ {
        passed[platform] += $1
        failed[platform] += $3
        skipped[platform] += $5
    }
    /Synthesis: Tested: / {
        gsub(/\033\[[0-9;]*m/, "")
        match($0, /Passing: [0-9]+/)
        passed[platform] += substr($0, RSTART + 9, RLENGTH - 9)
        match($0, /Failing: [0-9]+/)
        failed[platform] += substr($0, RSTART + 9, RLENGTH - 9)
    }
    /^skipped: / { skip(substr($0, 10)) }
    /\[.*SKIP.*\] .*::.*: / {
        gsub(/\033\[[0-9;]*m/, "")
        skipped[platform]++
        reason = $0
        sub(/^.*\[SKIP\] [^ ]*: /, "", reason)
        sub(/^Test was skipped: /, "", reason)
        skip(reason)
    }
    /^0 passed, 0 failed: skipped, / {
        programs[platform]--
        programs_skipped[platform]++
        skip(substr($0, 31))
    }

    END {
        printf "%-14s %31s %27s\n", "", "tests of units", "programs, scripts"
        printf "%-14s %9s %9s %9s %11s %9s %9s\n", "platform", "passed", "failed", "skipped",
               "passed", "skipped", "failed"
        for (i = 1; i <= platforms; i++) {
            p = order[i]
            printf "%-14s %9d %9d %9d %11d %9d %9d\n", p, passed[p], failed[p], skipped[p],
                   programs[p], programs_skipped[p], bad[p]
        }
        print ""
        print "skipped, because"
        for (i = 1; i <= reason_count; i++) {
            where = ""
            for (j = 1; j <= platforms; j++)
                if (skips[reasons[i], order[j]] > 0)
                    where = where " " order[j] ":" skips[reasons[i], order[j]]
            print "  " reasons[i] ":" where
        }
    }' $(for build; do echo "$build/Testing/Temporary/LastTest.log"; done)
