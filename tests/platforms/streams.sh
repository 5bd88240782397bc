#!/bin/sh
# streams.sh ONE OTHER: two builds of stream.c for different processors, each as the writer and as
# the reader, on a byte ring and on a record ring.
set -u

passed=0
failed=0
folder=$(mktemp -d "${TMPDIR:-/tmp}/mring-streams-XXXXXX")
tag=mring-streams-$$
trap 'rm -rf "$folder" "/dev/shm/$tag"' EXIT
trap 'exit 1' HUP INT TERM

# stream WRITER READER KIND
stream() {
    rm -f "/dev/shm/$tag"
    "$2" read "$3" "$tag" >"$folder/read" &
    reader=$!
    "$1" write "$3" "$tag" >"$folder/written"
    writer_status=$?
    wait "$reader"
    reader_status=$?
    if [ "$writer_status" -eq 0 ] && [ "$reader_status" -eq 0 ] &&
        [ -s "$folder/read" ] && cmp "$folder/read" "$folder/written"; then
        passed=$((passed + 1))
        echo "ok: $3: $(cat "$folder/read")"
    else
        failed=$((failed + 1))
        echo "FAILED: $3 from $1 to $2"
        cat "$folder/written" "$folder/read"
    fi
}

for kind in bytes records; do
    stream "$1" "$2" "$kind"
    stream "$2" "$1" "$kind"
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
