#!/bin/sh
# Every public header compiles as the only include of a file, in C11 and in C++17, without a warning,
# and may be included twice.
#
#   headers_compile_alone.sh INCLUDE_DIR CC CXX
#
# Before that, headers with faults of the usual kinds are planted, and each must be refused.
set -eu

include=$1
cc=$2
cxx=$3
planted=$(mktemp -d "${TMPDIR:-/tmp}/mring-headers-XXXXXX")
trap 'rm -rf "$planted"' EXIT

# compiles FOLDER HEADER: in both languages
compiles() {
    lines=$(printf '#include <%s>\n#include <%s>\n' "$2" "$2")
    warnings='-pedantic-errors -Wall -Wextra -Wpedantic -Wundef -Wshadow -Wconversion -Werror'
    # shellcheck disable=SC2086  # warnings are words
    echo "$lines" | $cc -std=c11 $warnings -Wstrict-prototypes -Wmissing-prototypes \
        -I "$1" -fsyntax-only -x c - &&
        echo "$lines" | $cxx -std=c++17 $warnings -I "$1" -fsyntax-only -x c++ -
}

status=0

# refuses NAME LINE...
refuses() {
    name=$1
    shift
    printf '%s\n' "$@" >"$planted/$name.h"
    if compiles "$planted" "$name.h" 2>/dev/null; then
        echo "a faulty header was accepted: $name"
        status=1
    fi
}

refuses needs_another_header 'static inline uint32_t f(void);'
refuses has_no_guard 'enum planted { PLANTED };'
refuses is_not_cplusplus '#pragma once' 'struct planted { int new; };'
refuses is_not_c '#pragma once' 'namespace planted {}'
refuses warns '#pragma once' 'static inline unsigned f(int a) { return a; }'

cd "$include"
headers=$(find . -name '*.h' | sed 's|^\./||' | sort)
[ -n "$headers" ] || { echo "no headers in $include"; exit 1; }
for header in $headers; do
    if compiles . "$header"; then
        echo "$header: compiles alone"
    else
        echo "$header: does not compile alone"
        status=1
    fi
done
exit $status
