#!/bin/sh
# A shared library for macOS exports the symbols that the one of this machine does, no more, no less.
#
#   exported_symbols.sh check LLVM_NM SOURCE_DIR BINARY_DIR DYLIB OBJECT...
#   exported_symbols.sh selftest ...   the same lists, with a symbol missing on either side: both
#                                      must be found
#
# The library of this machine is built in BINARY_DIR. Of the other, only what its own objects define
# counts, and not what they hide: zig's linker exports the support functions of its compiler, too,
# and hidden symbols as well as others. Prints the symbols that differ, and closes with the number of
# those that are the same.
set -eu
LC_ALL=C
export LC_ALL

nm=$2
source=$3
binary=$4
dylib=$5
case $1 in
check | selftest) command=$1 ;;
*)
    echo "usage: exported_symbols.sh check|selftest LLVM_NM SOURCE_DIR BINARY_DIR DYLIB OBJECT..." >&2
    exit 2
    ;;
esac
shift 5

# symbols LIBRARY: those that it defines for others, one a line
symbols() {
    "$nm" --extern-only --defined-only --format=just-symbols "$1" | sort -u
}

# macho_symbols FILE...: the same of a Mach-O file, without the '_' that each begins with there
macho_symbols() {
    "$nm" --extern-only --defined-only --format=darwin "$@" |
        sed -n '/ private external /d; s/^.* external _//p' | sort -u
}

# compare FILE FILE: print the difference, and how much is the same
compare() {
    different=$(comm -3 "$1" "$2" | sed -e 's/^\t\(.*\)/only on macOS: \1/; t' -e 's/^/only here: /')
    if [ -n "$different" ]; then
        printf '%s\n' "$different"
        return 1
    fi
    echo "$(wc -l <"$1") symbols are the same"
}

cmake -S "$source" -B "$binary" -DBUILD_SHARED_LIBS=ON -DMRING_BUILD_TESTS=OFF \
    -DMRING_BUILD_EXAMPLES=OFF -DMRING_BUILD_BENCH=OFF >"$binary.log"
cmake --build "$binary" >>"$binary.log"
symbols "$binary/libmring.so" | grep -v '^_\(init\|fini\|edata\|end\|_bss_start\)$' >"$binary/here"
macho_symbols "$@" >"$binary/defined"
macho_symbols "$dylib" | comm -12 - "$binary/defined" >"$binary/there"
if [ ! -s "$binary/here" ] || [ ! -s "$binary/there" ]; then
    echo "there are no symbols"
    exit 1
fi

case $command in
check)
    compare "$binary/here" "$binary/there"
    ;;
selftest)
    sed '/^mmap_mirror$/d' "$binary/here" >"$binary/less_here"
    sed '/^mring_os_wake$/d' "$binary/there" >"$binary/less_there"
    if compare "$binary/less_here" "$binary/there" || compare "$binary/here" "$binary/less_there"; then
        echo "a missing symbol was not seen"
        exit 1
    fi
    echo "both missing symbols were seen"
    ;;
esac
