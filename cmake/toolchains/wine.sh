#!/bin/sh
# wine.sh FOLDER PROGRAM [ARGUMENT...]: run a program of 64-bit Windows. Wine keeps its registry and
# its drives in FOLDER, which is made by whoever comes first.
set -eu

WINEPREFIX=$1
WINEDEBUG=-all
WINEDLLOVERRIDES='mscoree=;mshtml='
export WINEPREFIX WINEDEBUG WINEDLLOVERRIDES
wine=/usr/lib/wine/wine64
shift

if [ ! -e "$WINEPREFIX/ready" ]; then
    mkdir -p "$WINEPREFIX"
    (
        flock 9
        if [ ! -e "$WINEPREFIX/ready" ]; then
            "$wine" wineboot -i >"$WINEPREFIX.log" 2>&1
            touch "$WINEPREFIX/ready"
        fi
    ) 9>"$WINEPREFIX.lock"
fi
exec "$wine" "$@"
