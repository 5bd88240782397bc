#!/bin/sh
# Every public header compiles alone as Microsoft's compiler would read it, in C11 and in C++17, for
# x86-64, 32-bit x86 and ARM64: a look at the syntax, by clang in the mode of that compiler, with
# the few headers of its C library that they need in msvc/. Clang knows more than the other, so what
# is left of a header for it is searched for what only clang and gcc know.
#
#   headers_compile_in_msvc_mode.sh INCLUDE_DIR CLANG
set -eu

include=$1
clang=$2
if ! command -v "$clang" >/dev/null; then
    echo "skipped: there is no clang"
    exit 77
fi
stubs=$(cd "$(dirname "$0")/msvc" && pwd)
folder=$(mktemp -d "${TMPDIR:-/tmp}/mring-msvc-XXXXXX")
trap 'rm -rf "$folder"' EXIT

# clang_cl MODE FOLDER HEADER ARCHITECTURE LANGUAGE: the last is `c /std:c11` or `cc /std:c++17`
clang_cl() {
    file=$folder/alone.${5%% *}
    printf '#include <%s>\n#include <%s>\n' "$3" "$3" >"$file"
    "$clang" --driver-mode=cl "--target=$4-pc-windows-msvc" "$1" "${5#* }" /W4 /WX /X \
        -Wno-unused-command-line-argument /clang:-nostdlibinc /clang:-nobuiltininc \
        -imsvc "$stubs" /I "$2" "$file"
}

# compiles FOLDER HEADER ARCHITECTURE LANGUAGE
compiles() {
    clang_cl /Zs "$@" || return 1
    ! clang_cl /EP "$@" | grep -E '__attribute__|__asm|__atomic_|__builtin_' |
        grep -v '__builtin_offsetof'
}

status=0

# refuses TEXT: the check can fail.
refuses() {
    printf '#pragma once\n%s\n' "$1" >"$folder/faulty.h"
    if compiles "$folder" faulty.h x86_64 'c /std:c11' >"$folder/log" 2>&1; then
        echo "a faulty header was accepted: $1"
        status=1
    fi
}

printf '#pragma once\nint planted(void);\n' >"$folder/good.h"
compiles "$folder" good.h x86_64 'c /std:c11'
refuses 'int planted(void) { return nothing(); }'
refuses 'int planted(void) __attribute__((cold));'
refuses '#define LIKELY(c) __builtin_expect(c, 1)
inline int planted(int a) { return LIKELY(a); }'

cd "$include"
for header in $(find . -name '*.h' | sed 's|^\./||' | sort); do
    for architecture in x86_64 i686 aarch64; do
        for language in 'c /std:c11' 'cc /std:c++17'; do
            if ! compiles . "$header" "$architecture" "$language"; then
                echo "$header: does not compile for $architecture, $language"
                status=1
            fi
        done
    done
    echo "$header: looked at"
done
exit $status
