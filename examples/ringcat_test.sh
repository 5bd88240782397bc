#!/bin/sh
# Move a file through a named ring in every way that ringcat promises, and compare.
#
#      ringcat_test.sh RINGCAT [MEGABYTES]
#
# Prints bytes per second of each run and of `cat in | cat > out`; closes with "N passed, N failed".
set -u
ringcat=$(realpath "$1")
megabytes=${2:-64}
tag=ringcat_test.$$
folder=$(mktemp -d)
passed=0
failed=0
trap 'rm -rf "$folder" /dev/shm/"$tag"' EXIT
trap 'exit 1' HUP INT TERM
cd "$folder" || exit 1
head -c "${megabytes}M" /dev/urandom > in
cp in out # or the first run pays for the memory that all use

verdict() { # verdict NAME STATUS
    if [ "$2" -eq 0 ]; then
        passed=$((passed + 1)) && echo "ok      $1"
    else
        failed=$((failed + 1)) && echo "FAILED  $1"
    fi
    rm -f out "/dev/shm/$tag"
}

same_and_gone() { # the output is the input, and the name was removed
    cmp in out && [ ! -e "/dev/shm/$tag" ]
}

await_name() { # await_name PROCESS: until the stream has begun, or the process has ended
    while [ ! -e "/dev/shm/$tag" ] && kill -0 "$1" 2> /dev/null; do sleep 0.01; done
}

position() { # position OFFSET: that of the write end (65536) or of the read end (131072)
    od -An -j "$1" -N 8 -t u8 "/dev/shm/$tag" | tr -d ' '
}

settle() { # what earlier runs have left to be written does not slow down this one
    rm -f out
    sync
}

milliseconds() {
    echo $(($(date +%s%N) / 1000000))
}

speed() { # speed NAME START_MS
    elapsed=$(($(milliseconds) - $2))
    echo "        $1: $((megabytes * 1048576 / 1000 / (elapsed + 1))) MB/s"
}

copy() { # copy CAPACITY FIRST(-r|-w)
    settle
    start=$(milliseconds)
    if [ "$2" = -r ]; then
        "$ringcat" -q -s "$1" -r "$tag" > out & other=$!
        "$ringcat" -q -s "$1" -w "$tag" < in || return 1
    else
        "$ringcat" -q -s "$1" -w "$tag" < in & other=$!
        await_name $other
        "$ringcat" -q -s "$1" -r "$tag" > out || return 1
    fi
    wait $other || return 1
    speed "ringcat, ring of $1 bytes" "$start"
    same_and_gone
}

room=$(df -Pk /dev/shm | awk 'NR == 2 { print $4 }')
for capacity in 1048576 4096 67108864; do
    if [ $((capacity / 1024 + 1024)) -gt "$room" ]; then
        echo "skipped ring of $capacity bytes: /dev/shm has $room KiB"
        continue
    fi
    copy $capacity -r
    verdict "reader first, ring of $capacity bytes" $?
    copy $capacity -w
    verdict "writer first, ring of $capacity bytes" $?
done

settle
start=$(milliseconds)
cat in | cat > out
speed "cat in | cat > out" "$start"
rm -f out

# Kill an end wherever it is, start its successor, and so on. The last one is left alone; when the
# stream ends before it begins, it finds no name.
killed_reader() {
    "$ringcat" -q -w "$tag" < in & writer=$!
    await_name $writer
    for pause in 0.02 0.01 0.03 0.01 0.02; do
        "$ringcat" -q -c -r "$tag" 1<> out 2> errors & reader=$!
        sleep $pause
        kill -9 $reader 2> /dev/null
        wait $reader 2> /dev/null
        [ -e "/dev/shm/$tag" ] || break
    done
    "$ringcat" -q -c -r "$tag" 1<> out 2> errors || [ ! -e "/dev/shm/$tag" ] || return 1
    wait $writer && same_and_gone
}
killed_reader
verdict "reader killed and restarted" $?

killed_writer() {
    "$ringcat" -q -r "$tag" > out & reader=$!
    await_name $reader
    for pause in 0.02 0.01 0.03; do
        "$ringcat" -q -c -w "$tag" < in 2> errors & writer=$!
        sleep $pause
        kill -9 $writer 2> /dev/null
        wait $writer 2> /dev/null
        [ -e "/dev/shm/$tag" ] || break
    done
    "$ringcat" -q -c -w "$tag" < in 2> errors || [ ! -e "/dev/shm/$tag" ] || return 1
    wait $reader && same_and_gone
}
killed_writer
verdict "writer killed and restarted" $?

# A writer that is stopped by a full ring and killed there, for certain within the stream.
killed_at_a_full_ring() {
    "$ringcat" -q -s 4096 -w "$tag" < in & writer=$!
    await_name $writer
    while [ "$(position 65536)" -lt 4096 ]; do sleep 0.01; done
    kill -9 $writer || return 1
    wait $writer 2> /dev/null
    "$ringcat" -q -w "$tag" < in 2> errors && return 1
    grep -q "has begun already" errors || return 1
    echo short > short
    "$ringcat" -q -c -w "$tag" < short 2> errors && return 1
    grep -q "not the file that was read so far" errors || return 1
    "$ringcat" -q -r "$tag" > out & reader=$!
    "$ringcat" -q -c -w "$tag" < in && wait $reader && same_and_gone
}
killed_at_a_full_ring
verdict "writer killed at a full ring, and only its successor goes on" $?

# A reader that died between the end of the stream and the removal of its name: a copy that was made
# through a descriptor that survives the name.
killed_at_the_end() {
    echo stream | "$ringcat" -q -w "$tag" || return 1
    exec 3< "/dev/shm/$tag"
    "$ringcat" -q -r "$tag" > out 3<&- || return 1
    (umask 077 && cat <&3 > "/dev/shm/$tag")
    exec 3<&-
    "$ringcat" -q -r "$tag" > none 2> errors && return 1
    echo "what the file had before" >> out
    "$ringcat" -q -c -r "$tag" 1<> out && [ "$(cat out)" = stream ] && [ ! -e "/dev/shm/$tag" ]
}
killed_at_the_end
verdict "reader killed after the end of the stream" $?

no_stream() { # nothing to go on with, and nothing is begun
    "$ringcat" -q -c -r "$tag" 1<> out 2> errors && return 1
    "$ringcat" -q -c -w "$tag" < in 2> errors && return 1
    grep -q "over or has not begun" errors && [ ! -e "/dev/shm/$tag" ]
}
no_stream
verdict "-c does not begin a stream" $?

written_twice() { # what a reader wrote and did not live to give back, and what the file had before
    echo stream | "$ringcat" -q -w "$tag" || return 1
    echo "streams of another day, and longer ones" > out
    "$ringcat" -q -c -r "$tag" 1<> out && [ "$(cat out)" = stream ] && [ ! -e "/dev/shm/$tag" ]
}
written_twice
verdict "-c writes over what the file has from that position on" $?

wrong_output() { # a refusal leaves the stream to a reader that is started well
    mkfifo gate && : > out
    "$ringcat" -q -w "$tag" < gate & writer=$!
    exec 3> gate
    head -c 550000 in >&3
    await_name $writer
    "$ringcat" -q -r "$tag" > out 3>&- & reader=$!
    while [ "$(wc -c < out)" -lt 550000 ]; do sleep 0.01; done
    kill -9 $reader
    wait $reader 2> /dev/null
    "$ringcat" -q -r "$tag" > none 2> errors && return 1
    grep -q "has begun already" errors || return 1
    "$ringcat" -q -c -r "$tag" >> out 2> errors && return 1
    "$ringcat" -q -c -r "$tag" > none 2>> errors && return 1
    "$ringcat" -q -c -r "$tag" 2>> errors | cat > none
    [ "$(grep -c "not the file written so far" errors)" -eq 3 ] && [ ! -s none ] || return 1
    "$ringcat" -q -c -r "$tag" 1<> out 3>&- & reader=$!
    tail -c +550001 in >&3
    exec 3>&-
    wait $writer && wait $reader && same_and_gone
}
wrong_output
verdict "-c refuses what is not the output so far" $?

bad_capacity() {
    for size in abc -1 0 4k '' 99999999999999999999; do
        "$ringcat" -q -s "$size" -w "$tag" < in 2> errors
        [ $? -eq 2 ] || return 1
    done
    [ ! -e "/dev/shm/$tag" ]
}
bad_capacity
verdict "a capacity that is no number is wrong usage" $?

empty_stream() {
    : > nothing
    "$ringcat" -q -r "$tag" > out & reader=$!
    "$ringcat" -q -w "$tag" < nothing || return 1
    wait $reader && [ ! -s out ]
}
empty_stream
verdict "an empty stream ends too" $?

failing_writer() { # a folder cannot be read
    "$ringcat" -q -r "$tag" > out 2> errors & reader=$!
    "$ringcat" -q -w "$tag" < . 2>> errors && return 1
    wait $reader
    [ $? -eq 1 ]
}
failing_writer
verdict "an error of the writer reaches the reader" $?

failing_reader() {
    "$ringcat" -q -r "$tag" > /dev/full 2> errors & reader=$!
    "$ringcat" -q -w "$tag" < in 2>> errors && return 1
    wait $reader
    [ $? -eq 1 ]
}
failing_reader
verdict "an error of the reader reaches the writer" $?

second_writer() { # the stream ended with the first one
    echo first | "$ringcat" -q -w "$tag" || return 1
    echo second | "$ringcat" -q -w "$tag" 2> errors && return 1
    "$ringcat" -q -r "$tag" > out && [ "$(cat out)" = first ]
}
second_writer
verdict "a second writer is told that the stream has ended" $?

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
