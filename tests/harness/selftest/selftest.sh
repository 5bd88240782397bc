#!/bin/sh
# selftest.sh [EMULATOR...] PROGRAM: the harness can fail. PROGRAM is fails.c; each of its tests is
# seen to end as its name says, and the closing line counts them.
set -u

newline='
'
run=$(printf '%s\n' "$@") # a word per line
failures=0

# expect CODE CLOSING FILTER LINE...: the exit code, the last line, and lines that must be there.
expect() {
    code=$1 closing=$2 filter=$3
    shift 3
    output=$(IFS=$newline && set -f && exec $run --filter "$filter" --verbose 2>&1)
    found=$?
    wrong=
    [ "$found" -eq "$code" ] || wrong="exit code $found"
    [ "$(printf '%s\n' "$output" | tail -n 1)" = "$closing" ] || wrong="$wrong, closing line"
    for line; do
        printf '%s\n' "$output" | grep -qF -- "$line" || wrong="$wrong, no '$line'"
    done
    if printf '%s\n' "$output" | grep -qx 'not reached'; then
        wrong="$wrong, went on"
    fi
    if [ -n "$wrong" ]; then
        printf '%s: %s\n%s\n' "$filter" "$wrong" "$output"
        failures=$((failures + 1))
    fi
}

one='0 passed, 1 failed, 0 skipped'
expect 0 '2 passed, 0 failed, 0 skipped' 'passes/*' '[PASS] passes/alone'
expect 1 "$one" 'fails/at_an_assertion' 'cr_assert_eq(1, 2, "row %d", 7): row 7' begin end \
    '[FAIL] fails/at_an_assertion'
expect 1 "$one" '*two_expectations' 'cr_expect_str_eq("a", "b")' 'cr_expect_null("c")' reached
expect 1 "$one" '*in_another_thread' 'in a thread'
expect 1 "$one" '*by_a_crash' 'it was killed by signal 11'
expect 1 "$one" '*by_an_exit*' 'it ended by itself'
expect 1 "$one" '*by_a_hang' 'it was not done after 1 s'
expect 0 '0 passed, 0 failed, 1 skipped' 'skips/with*' 'skipped: for 3 reasons' end
expect 1 "$one" 'skips/but*' 'cr_expect(false)'
expect 1 '0 passed, 0 failed, 0 skipped' 'no/such_test'
expect 1 '2 passed, 7 failed, 1 skipped' '*'

[ "$failures" -eq 0 ] && echo 'selftest: the harness fails where it must'
exit "$failures"
