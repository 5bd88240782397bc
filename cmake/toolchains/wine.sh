#!/bin/sh
# wine.sh FOLDER PROGRAM [ARGUMENT...]: run a program of 64-bit Windows. Wine keeps its registry and
# its drives in FOLDER, which is made by whoever comes first. With MRING_SAY_EXIT_CODE the last line
# says how the program has failed, if it has.
#
# Wine has a server and services, which it starts with the first program, and ends some time after
# the last one. They would keep that program's output open, and who waits for its end would wait for
# theirs: so they are started apart.
set -eu

WINEPREFIX=$1
WINEDEBUG=-all
WINEDLLOVERRIDES='mscoree=;mshtml='
export WINEPREFIX WINEDEBUG WINEDLLOVERRIDES
folder=/usr/lib/wine
shift

mkdir -p "$WINEPREFIX"
(
    flock 9
    if "$folder/wineserver64" -p60 </dev/null 9>&-; then # there was none
        "$folder/wine64" wineboot </dev/null 9>&-
        sleep 2 # a program that comes too soon starts the services once more, with its own output
    fi
) >"$WINEPREFIX.log" 2>&1 9>"$WINEPREFIX.lock"
[ -n "${MRING_SAY_EXIT_CODE-}" ] || exec "$folder/wine64" "$@"
code=0
"$folder/wine64" "$@" || code=$?
[ "$code" -eq 0 ] || echo "wine.sh: exit code $code"
exit "$code"
