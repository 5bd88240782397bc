#!/bin/sh
# No test leaves a name, or the draft of one, where names are files of a folder (src/mmap_shm.c).
#
#   names_left.sh begin FOLDER   before the tests: remove what others have left
#   names_left.sh end FOLDER     after them: a line for each file that is left, exit 1 if any
set -eu

case $1 in
begin)
    rm -rf "$2"
    mkdir "$2"
    ;;
end)
    left=$(find "$2" -type f ! -name lock)
    if [ -n "$left" ]; then
        printf '%s\n' "$left" | while IFS= read -r file; do
            echo "left: $file $(strings -n 6 "$file" | tail -1)"
        done
        exit 1
    fi
    if [ -z "$(find "$2" -type f -name lock)" ]; then
        echo "no test has removed a name: they have another folder"
        exit 1
    fi
    ;;
*)
    echo "usage: names_left.sh begin|end FOLDER" >&2
    exit 2
    ;;
esac
