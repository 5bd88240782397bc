#!/bin/sh
# Run tee_server with tee_client, and compare what it printed with what was sent.
#
#      tee_server_test.sh TEE_SERVER TEE_CLIENT
#
# Closes with "N passed, N failed".
set -u
server=$(realpath "$1")
client=$(realpath "$2")
folder=$(mktemp -d)
passed=0
failed=0
process=
trap 'kill -9 $process 2> /dev/null; rm -rf "$folder"' EXIT
trap 'exit 1' HUP INT TERM
cd "$folder" || exit 1
mkfifo output

verdict() { # verdict NAME STATUS
    if [ "$2" -eq 0 ]; then
        passed=$((passed + 1)) && echo "ok      $1"
    else
        failed=$((failed + 1)) && echo "FAILED  $1"
        cat errors
    fi
}

# The other end of the server's standard output reads nothing for a second after the first byte of
# the first line, so that the log ring becomes full;
read_slowly() {
    IFS= read -r first && echo "$first" > listening
    head -c 1 > begun
    sleep 1
    cat begun - > printed
}

# or it goes away.
read_one_line() {
    IFS= read -r first && echo "$first" > listening
}

await() { # await FILE: until it has something, or the server has ended
    until [ -s "$1" ]; do
        kill -0 $process 2> /dev/null || return 1
        sleep 0.01
    done
}

start() { # start READER DESCRIPTORS
    rm -f listening begun printed
    "$1" < output & reader=$!
    (
        exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&- # what is inherited would count
        ulimit -n "$2" && exec "$server" 0
    ) > output 2> errors &
    process=$!
    await listening || return 1
    port=$(sed 's/listening on //' listening)
}

finish() { # the server's exit status; it was all that used the pipe
    wait $process
    status=$?
    process=
    wait $reader
    return $status
}

by_connection() { # the order of lines within a connection stays as it is
    LC_ALL=C sort -s -t : -k 1,1n "$1" > "$1.sorted"
}

exchange() { # exchange DESCRIPTORS: all that was sent is sent back, and printed once, in order
    start read_slowly "$1" && "$client" "$port" > expected
    exchanged=$?
    kill -TERM $process
    finish && [ $exchanged -eq 0 ] || return 1
    by_connection printed && by_connection expected && cmp printed.sorted expected.sorted
}

complaints() { # complaints NUMBER: so many lines, among them what is said of the last two peers
    [ "$(wc -l < errors)" -eq "$1" ] || return 1
    grep -q "connection 9: Connection reset" errors && grep -q "connection 10: .*larger" errors
}

exchange "$(ulimit -n)"
verdict "each line is printed and sent back" $?
complaints 2
verdict "a broken connection and a line that is too long are told, and nothing else" $?

exchange 12
verdict "whoever is too much for the server's descriptors has to wait" $?
refusals=$(grep -c "accept: .* file" errors)
[ "$refusals" -ge 1 ] && complaints $((refusals + 2))
verdict "the server tells that it had too few" $?

stop_early() { # while connections are open and the log ring is full
    start read_slowly "$(ulimit -n)" || return 1
    "$client" "$port" > expected 2> client_errors & sender=$!
    await begun && sleep 0.3
    kill -INT $process
    finish || return 1
    wait $sender
    [ $? -eq 1 ] && [ -s printed ] && [ ! -s errors ]
}
stop_early
verdict "a signal ends the server in the middle of everything" $?

broken_output() {
    start read_one_line "$(ulimit -n)" || return 1
    "$client" "$port" > expected 2> client_errors && return 1
    finish
    [ $? -eq 1 ] && grep -q "standard output: Broken pipe" errors
}
broken_output
verdict "standard output that fails ends the server" $?

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
